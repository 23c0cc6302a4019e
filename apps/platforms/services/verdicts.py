"""What notifications prove about a key that no live check can try, such as WeChat Pay's APIv3 key.

Only what carries the platform's signature is ever handed to this module, so a forger cannot turn an account red.
"""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from apps.core import audit
from apps.core.audit import Actor
from apps.platforms import gateway
from apps.platforms.gateway import CheckState, CredentialCheck
from apps.platforms.models import PlatformAccount

#: Verdicts that come from notifications: a live check neither finds nor lifts them.
_BY_NOTIFICATION = frozenset({gateway.API_V3_KEY_WRONG})


def last_check(account: PlatformAccount) -> CredentialCheck | None:
    """The verdict on the stored credentials; None before the first."""
    if not account.check_state:
        return None
    # Something else may have been written there by hand.
    field, code, message = [*account.check_message.split("|", 2), "", ""][:3]
    return CredentialCheck(
        state=CheckState(account.check_state), field=field, code=code, message=message
    )


def note(account: PlatformAccount, check: CredentialCheck, now: datetime) -> None:
    """Put a verdict on the account, unsaved; ``last_check`` reads it again."""
    account.checked_at = now
    account.check_state = check.state.value
    account.check_message = f"{check.field}|{check.code}|{check.message}"[:300]


def standing(account: PlatformAccount) -> CredentialCheck | None:
    """The verdict that notifications gave and that still stands; None if there is none."""
    check = last_check(account)
    wrong = check is not None and check.state is CheckState.BAD and check.code in _BY_NOTIFICATION
    return check if wrong else None


def key_is_wrong(
    *,
    account: PlatformAccount,
    error: gateway.WrongKey,
    received_at: datetime,
    now: datetime,
    actor: Actor,
) -> bool:
    """A verified notification did not open with the key of ``account``: mark it as broken. True if that is news."""
    check = CredentialCheck(state=CheckState.BAD, field=error.field, code=error.code)
    return _judge(account, check, received_at=received_at, now=now, actor=actor)


def key_is_right(
    *, account: PlatformAccount, received_at: datetime, now: datetime, actor: Actor
) -> bool:
    """A verified notification opened with the key of ``account``: lift such a mark. True if there was one."""
    check = CredentialCheck(state=CheckState.GOOD)
    return _judge(account, check, received_at=received_at, now=now, actor=actor)


@transaction.atomic
def _judge(
    account: PlatformAccount,
    check: CredentialCheck,
    *,
    received_at: datetime,
    now: datetime,
    actor: Actor,
) -> bool:
    held = PlatformAccount.objects.select_for_update().get(pk=account.pk)
    if bytes(held.credentials_sealed) != bytes(account.credentials_sealed):
        # Judged with keys that were replaced meanwhile.
        return False
    if held.checked_at is not None and received_at < held.checked_at:
        # An old delivery, processed again, was sealed with whatever key was in use then.
        return False
    stands = standing(held)
    if check.state is CheckState.GOOD and stands is None:
        return False
    if stands is not None and stands.code == check.code:
        return False
    note(held, check, now)
    held.save(update_fields=["checked_at", "check_state", "check_message"])
    audit.record(
        action="account.checked",
        subject_kind="account",
        subject_id=held.pk,
        actor=actor,
        at=now,
        data={"check": check.state.value, "code": check.code, "by": "notification"},
    )
    return True
