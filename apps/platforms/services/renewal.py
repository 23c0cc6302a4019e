"""Certificates that a platform renews: fetched again in good time, without anybody asking for it.

WeChat Pay wants its certificates asked for at least every twelve hours and shows a new one for a day before it signs with it
(merchant documentation 4012551764). Alipay's are looked at as often; what it signs with meanwhile the connector fetches by
itself, but keeps only as long as its process lives.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction

from apps.core import audit, outbox
from apps.core.audit import Actor
from apps.core.jitter import spread
from apps.platforms import registry
from apps.platforms.gateway import (
    API_V3_KEY_WRONG,
    Capability,
    Credentials,
    PlatformRejected,
    PlatformUnavailable,
    WrongKey,
)
from apps.platforms.models import PlatformAccount
from apps.platforms.services import verdicts
from apps.platforms.services.credentials import credentials_of, sealed
from apps.platforms.services.gateways import gateway_of

logger = logging.getLogger(__name__)

TASK: Final = "platforms.renew_credentials"
#: Reasons of ``InvalidSignature`` that new certificates may mend.
OUTDATED: Final = frozenset({"serial", "expired"})
#: A tenth longer at most, which is still less than twelve hours.
_EVERY: Final = timedelta(hours=10)
#: After a call that brought nothing.
_AGAIN: Final = timedelta(minutes=20)
_REFUSED_AGAIN: Final = timedelta(hours=2)
#: After somebody changed the account meanwhile, or something was signed with a certificate that is not here.
_SOON: Final = timedelta(minutes=1)
#: How long after a good answer there is nothing to hasten.
_QUIET: Final = timedelta(minutes=10)


def begin(account: PlatformAccount, credentials: Credentials, *, now: datetime) -> bool:
    """Have an account's certificates renewed from now on; in the caller's transaction. False where it has none.

    May be repeated.
    """
    if not registry.renews(account.platform, credentials):
        return False
    outbox.enqueue(task=TASK, merchant_id=account.merchant_id, subject_id=account.pk, due_at=now)
    return True


def hasten(account: PlatformAccount, *, now: datetime) -> None:
    """The platform seems to sign with a certificate that is not here: look earlier, though never often.

    Anybody can send what looks like that, so it costs the platform one call in ten minutes at most, or in one while the
    calls fail. Accounts without certificates are left alone by ``renew_due``.
    """
    if Capability.RENEWAL not in registry.capabilities_of(account.platform):
        return
    due_at = now + _SOON
    if account.renewed_at is not None:
        due_at = max(due_at, account.renewed_at + _QUIET)
    outbox.enqueue(task=TASK, merchant_id=account.merchant_id, subject_id=account.pk, due_at=due_at)


def renew_due(*, account_id: int, now: datetime) -> datetime | None:
    """Fetch and store an account's certificates; returns when to do it again, None where there are none to renew.

    Of a paused account as well: it still hears of its old payments. Never inside a transaction. Raises CannotOpen.
    """
    account = PlatformAccount.objects.filter(pk=account_id).first()
    if account is None:
        return None
    held = credentials_of(account)
    if not registry.renews(account.platform, held):
        return None
    key = f"renewal:{account.pk}:{now.isoformat()}"
    try:
        fresh = gateway_of(account).renew_credentials()
    except PlatformUnavailable as error:
        logger.warning("renewal for account %s: %s", account.pk, error.code)
        return now + spread(_AGAIN, key=key)
    except PlatformRejected as error:
        logger.warning("renewal for account %s refused: %s", account.pk, error.code)
        _blame(account, error, now=now)
        return now + spread(_REFUSED_AGAIN, key=key)
    if not _keep(account, held, fresh, now=now):
        return now + _SOON
    return now + spread(_EVERY, key=key)


def _blame(account: PlatformAccount, error: PlatformRejected, *, now: datetime) -> None:
    """The platform's certificates do not open: neither will its notifications."""
    if error.code == API_V3_KEY_WRONG:
        verdicts.key_is_wrong(
            account=account,
            error=WrongKey(error.message, field="api_v3_key", code=error.code),
            received_at=now,
            now=now,
            actor=Actor.system("renewal"),
        )


@transaction.atomic
def _keep(
    account: PlatformAccount, held: Credentials, fresh: Credentials | None, *, now: datetime
) -> bool:
    """Store what came; False where the credentials that it was fetched with are no longer those stored."""
    row = PlatformAccount.objects.select_for_update().filter(pk=account.pk).first()
    if row is None or bytes(row.credentials_sealed) != bytes(account.credentials_sealed):
        return False
    row.renewed_at = now
    if fresh is None:
        row.save(update_fields=["renewed_at"])
        return True
    row.credentials_sealed = sealed(fresh.keys, row.merchant_id)
    row.save(update_fields=["renewed_at", "credentials_sealed"])
    audit.record(
        action="account.renewed",
        subject_kind="account",
        subject_id=row.pk,
        actor=Actor.system("renewal"),
        at=now,
        data={
            "renewed": sorted(
                name for name, value in fresh.keys.items() if held.keys.get(name) != value
            )
        },
    )
    return True
