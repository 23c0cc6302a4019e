"""The check-in of each day, which brings a terminal its key.

A check-in brings a new key and ends the old one's life, so one worker at a time does it, under a lease. Should its answer be
lost, the platform holds a key that we have never seen; it then still takes the old one for one more check-in. Therefore the
key before the present one is kept as well, a check-in without an answer is repeated at once with the same key, and a
terminal is called lost only when the platform refuses every key that we hold. A lost one is tried again each hour, since
nobody else is told of what it began.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from apps.core import clock, outbox
from apps.core.audit import Actor
from apps.platforms import registry
from apps.platforms.gateway import (
    CheckState,
    CredentialCheck,
    Platform,
    PlatformRejected,
    PlatformUnavailable,
    TerminalKey,
)
from apps.platforms.models import AccountTerminal, PlatformAccount, TerminalState
from apps.platforms.services import verdicts
from apps.platforms.services.credentials import credentials_of
from apps.platforms.services.terminals.keys import Keys, called_by, keys_of, sealed_keys
from apps.platforms.services.terminals.notes import note_seen, note_verdict, record
from apps.platforms.terminal_keys import TERMINAL_LOST, KeyRefused

logger = logging.getLogger(__name__)

TASK: Final = "platforms.check_in"
#: Codes kept as ``AccountTerminal.detail``.
UNANSWERED: Final = "check_in_unanswered"
REFUSED: Final = "check_in_refused"

#: After midnight, China time: past any small difference of clocks, and not all at once.
_AFTER_MIDNIGHT: Final = timedelta(seconds=20)
_SPREAD_SECONDS: Final = 240
#: When a check-in that brought no key is tried again: by itself, and at the earliest by a call.
_AGAIN: Final = timedelta(minutes=1)
_REFUSED_AGAIN: Final = timedelta(hours=1)
_LOST_AGAIN: Final = timedelta(hours=1)
#: How long that is done for one that begins nothing more.
LOST_FOR: Final = timedelta(days=30)
_QUIET: Final = timedelta(seconds=30)


class CheckIn(Enum):
    """What became of a check-in."""

    DONE = "done"
    #: Today's key is there already.
    FRESH = "fresh"
    #: Another worker is at it, or one just got no answer.
    BUSY = "busy"
    UNANSWERED = "unanswered"
    REFUSED = "refused"
    LOST = "lost"


def is_fresh(checked_in_at: datetime | None, now: datetime) -> bool:
    """Whether a key of that time is of today: keys end with the calendar day, China time."""
    return checked_in_at is not None and clock.business_date(checked_in_at) == clock.business_date(
        now
    )


def next_check_in(row: AccountTerminal, now: datetime) -> datetime:
    """Shortly after the next midnight, China time; each terminal at a moment of its own."""
    _since, midnight = clock.business_period(clock.business_date(now))
    return midnight + _AFTER_MIDNIGHT + timedelta(seconds=row.pk % _SPREAD_SECONDS)


def check_in(
    *, account_terminal_id: int, now: datetime, refused: str = "", though_lost: bool = False
) -> CheckIn:
    """Get a terminal its key of today, unless it has one; one worker at a time. Never inside a transaction.

    ``refused``: a key that the platform has just refused; if it is the one held, today's check-in does not count.
    ``though_lost``: a lost one is tried once more; else nothing is sent for it.
    Raises AccountTerminal.DoesNotExist, CannotOpen.
    """
    until = now + _lease()
    rows = AccountTerminal.objects.filter(pk=account_terminal_id)
    free = Q(checking_in_until__isnull=True) | Q(checking_in_until__lte=now)
    tried = rows if though_lost else rows.exclude(state=TerminalState.LOST)
    if not tried.filter(free).update(checking_in_until=until):
        return CheckIn.LOST if rows.get().state == TerminalState.LOST else CheckIn.BUSY
    try:
        # Read after the lease was taken: another worker may have ended its own a moment ago.
        row = rows.select_related("account").get()
        keys = keys_of(row)
        works = row.state != TerminalState.LOST and keys.current != refused
        if works and is_fresh(row.checked_in_at, now):
            return CheckIn.FRESH
        return _exchange(row, keys, until=until, now=now)
    finally:
        rows.filter(checking_in_until=until).update(checking_in_until=None)


def check_in_due(*, account_terminal_id: int, now: datetime) -> datetime | None:
    """The daily check-in of one terminal; returns when to do it again, None when it is switched off, gone or lost long ago."""
    row = AccountTerminal.objects.filter(pk=account_terminal_id).first()
    if row is None or row.state == TerminalState.OFF:
        return None
    if row.off_at is not None and now - row.off_at > LOST_FOR:
        return None
    match check_in(account_terminal_id=row.pk, now=now, though_lost=True):
        case CheckIn.DONE | CheckIn.FRESH:
            return next_check_in(row, now)
        case CheckIn.BUSY | CheckIn.UNANSWERED:
            return now + _AGAIN
        case CheckIn.REFUSED:
            return now + _REFUSED_AGAIN
        case CheckIn.LOST:
            return now + _LOST_AGAIN


def _lease() -> timedelta:
    """Longer than the calls of one check-in can take, three tries of up to three time limits each."""
    return timedelta(seconds=9 * settings.PLATFORM_HTTP_TIMEOUT + 30)


def _exchange(row: AccountTerminal, keys: Keys, *, until: datetime, now: datetime) -> CheckIn:
    """Ask for a new key with the one held and, should that be refused, with the one before."""
    credentials = credentials_of(row.account)
    for key in filter(None, (keys.current, keys.previous)):
        gateway = registry.gateway_for(
            platform=Platform(row.account.platform),
            credentials=called_by(credentials, row, terminal_key=key),
        )
        # An answer that was lost: once more with the same key, which the platform then still takes.
        for _attempt in range(2):
            try:
                fresh = gateway.check_in_terminal()
            except PlatformUnavailable as error:
                logger.warning("check-in of terminal %s: %s", row.pk, error.code)
            except KeyRefused:
                break
            except PlatformRejected as error:
                logger.warning("check-in of terminal %s refused: %s", row.pk, error.code)
                # Nothing about keys: the terminal is blocked or unknown there, which a person must mend.
                _end(row, until, detail=_detail(row, f"{REFUSED}|{error.code}"[:300]))
                return CheckIn.REFUSED
            else:
                _keep_key(row, fresh, old=key, until=until, now=now)
                return CheckIn.DONE
        else:
            # The calls took their time, so this moment is not ``now``.
            quiet_until = clock.now() + _QUIET
            _end(row, until, detail=_detail(row, UNANSWERED), checking_in_until=quiet_until)
            outbox.enqueue(
                task=TASK,
                merchant_id=row.merchant_id,
                subject_id=row.pk,
                due_at=clock.now() + _AGAIN,
            )
            return CheckIn.UNANSWERED
    _lose(row, until=until, now=now)
    return CheckIn.LOST


def _detail(row: AccountTerminal, detail: str) -> str:
    """What is noted of a check-in without a key: of a lost terminal, that it is lost still."""
    return TERMINAL_LOST if row.state == TerminalState.LOST else detail


@transaction.atomic
def _keep_key(
    row: AccountTerminal, fresh: TerminalKey, *, old: str, until: datetime, now: datetime
) -> None:
    keys = Keys(current=fresh.terminal_key, previous=old)
    changes: dict[str, object] = {
        "terminal_sn": fresh.terminal_sn,
        "keys_sealed": sealed_keys(keys, row.merchant_id),
        "checked_in_at": now,
        "detail": "",
    }
    found = row.state == TerminalState.LOST
    # Its time as the one who begins things may be over; what it began then is asked about again.
    stands = AccountTerminal.objects.select_for_update().get(pk=row.pk).off_at is None
    if found:
        changes["state"] = TerminalState.ACTIVE if stands else TerminalState.OFF
    kept = _end(row, until, **changes)
    note_seen(row, now)
    if found and kept:
        check = verdicts.last_check(PlatformAccount.objects.get(pk=row.account_id))
        if stands and check is not None and check.code == TERMINAL_LOST:
            note_verdict(row.account_id, CredentialCheck(state=CheckState.GOOD), now=now)
        record(row, "account.terminal_found", Actor.system("terminals"), now)


def _end(row: AccountTerminal, until: datetime, **changes: object) -> bool:
    """Write what a check-in brought and give the lease back; False where the lease was somebody else's by then."""
    mine = AccountTerminal.objects.filter(pk=row.pk, checking_in_until=until)
    kept = bool(mine.update(**{"checking_in_until": None, **changes}))
    if not kept:
        logger.error("the lease on terminal %s ended before its check-in did", row.pk)
    return kept


@transaction.atomic
def _lose(row: AccountTerminal, *, until: datetime, now: datetime) -> None:
    before = row.state
    lost: dict[str, object] = {"state": TerminalState.LOST, "detail": TERMINAL_LOST}
    if row.terminal_id is not None and row.off_at is None:
        # From now on the portal's own terminal calls instead, and it alone can ask about what it begins.
        lost["off_at"] = now
    if not _end(row, until, **lost) or before == TerminalState.LOST:
        return
    outbox.enqueue(
        task=TASK, merchant_id=row.merchant_id, subject_id=row.pk, due_at=now + _LOST_AGAIN
    )
    if row.terminal_id is None and row.off_at is None:
        check = CredentialCheck(
            state=CheckState.BAD, code=TERMINAL_LOST, field=registry.ACTIVATION_CODE
        )
        note_verdict(row.account_id, check, now=now)
    record(row, "account.terminal_lost", Actor.system("terminals"), now)
