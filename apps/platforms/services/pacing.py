"""How fast, and whether at all, an account's platform may be asked now: one answer for all workers together.

*Slots*: an account makes so many calls a second (a virtual clock for each account, ``next_slot_at``, moves on by one
interval a call). *The breaker*: after ``THRESHOLD`` calls in a row without a usable answer nobody asks for a while, each
time twice as long; afterwards one worker tries one call, and a usable answer closes it. A refusal is a usable answer.

Both live in ``AccountPace``. The rules are pure functions over ``Pace``; ``take`` and ``report`` put them to work under
the rows' locks, for all accounts of the merchant in scope at once.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q

from apps.core.jitter import spread
from apps.platforms.models import AccountPace, PlatformAccount

#: Calls in a row without a usable answer that open the breaker.
THRESHOLD: Final = 5
#: How long it stays open the first time, and at most.
OPEN_FIRST: Final = timedelta(seconds=15)
OPEN_LONGEST: Final = timedelta(minutes=5)
#: How long a worker may take to try one call; then it is taken for lost.
PROBE_LEASE: Final = timedelta(seconds=30)
#: When those come again who find another worker trying.
PROBE_WAIT: Final = timedelta(seconds=5)
#: Slots further away than this are not waited for.
HORIZON: Final = timedelta(seconds=5)
#: A clean run is written down this often.
FRESH: Final = timedelta(minutes=1)

#: Why a call is put off; kept as the due's reason.
BREAKER: Final = "breaker"
RATE_LIMIT: Final = "rate_limit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Seconds between two calls of an account: as a rule, and while its last call brought nothing of use."""

    interval: timedelta
    failing: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Where an account stands; the fields of ``AccountPace`` of the same names."""

    next_slot_at: datetime | None = None
    failures: int = 0
    openings: int = 0
    open_until: datetime | None = None
    probing_until: datetime | None = None
    last_ok_at: datetime | None = None
    last_trouble_at: datetime | None = None
    last_code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """How many of the wanted calls may be made now: the first at ``starts_at``, each further one an ``interval`` later.

    The others come again at ``again_at`` and later, likewise apart; ``reason`` is ``BREAKER`` or ``RATE_LIMIT``.
    """

    calls: int
    starts_at: datetime
    interval: timedelta
    again_at: datetime
    reason: str = ""

    def slot(self, number: int) -> datetime:
        """When the call of this number (from 0) may be made."""
        return self.starts_at + self.interval * number

    def put_off(self, number: int) -> datetime:
        """When the call of this number, one of those that may not be made now, should come again."""
        return self.again_at + self.interval * (number - self.calls)


@dataclass(slots=True)
class Tally:
    """What came of the calls of one account, in the order in which they ended."""

    good: int = 0
    #: Calls without a usable answer after the last good one.
    failing: int = 0
    code: str = ""

    def hear(self, *, usable: bool, code: str = "") -> None:
        """Count one call; ``code`` says what was wrong with it."""
        if usable:
            self.good += 1
            self.failing = 0
        else:
            self.failing += 1
            self.code = code

    @property
    def hopeless(self) -> bool:
        """Whether the breaker would open: no further call should be made."""
        return self.failing >= THRESHOLD


def limits_of(platform: str) -> Limits:
    """The limits of a platform's accounts, from the settings."""
    return Limits(
        interval=timedelta(seconds=1) / settings.PLATFORM_CALLS_PER_SECOND[platform],
        failing=timedelta(seconds=1) / settings.PLATFORM_CALLS_PER_SECOND_FAILING[platform],
    )


def admit(
    pace: Pace, *, wanted: int, limits: Limits, now: datetime, horizon: timedelta = HORIZON
) -> tuple[Pace, Admission]:
    """How many of ``wanted`` calls may be made now, and where the account stands then."""
    interval = limits.failing if pace.failures else limits.interval
    if pace.open_until is not None:
        return _half_open(pace, wanted=wanted, interval=interval, now=now)
    starts_at = max(pace.next_slot_at or now, now)
    room = (now + horizon - starts_at) / interval
    calls = 0 if room < 0 else min(wanted, math.floor(room) + 1)
    ends_at = starts_at + interval * calls
    return (
        replace(pace, next_slot_at=ends_at if calls else pace.next_slot_at),
        Admission(
            calls=calls,
            starts_at=starts_at,
            interval=interval,
            again_at=ends_at,
            reason=RATE_LIMIT if calls < wanted else "",
        ),
    )


def _half_open(
    pace: Pace, *, wanted: int, interval: timedelta, now: datetime
) -> tuple[Pace, Admission]:
    """The breaker is open: nobody asks before its time, afterwards one worker with one call."""
    opens_at = pace.open_until or now
    probing = pace.probing_until is not None and pace.probing_until > now
    may = opens_at <= now and not probing and wanted > 0
    again_at = opens_at if opens_at > now else now + PROBE_WAIT
    admission = Admission(
        calls=int(may),
        starts_at=now,
        interval=interval,
        again_at=again_at,
        reason=BREAKER if wanted > int(may) else "",
    )
    if may:
        pace = replace(pace, probing_until=now + PROBE_LEASE)
    return pace, admission


def judge(pace: Pace, tally: Tally, *, now: datetime, key: str) -> Pace:
    """Where an account stands after these calls. ``key`` spreads the accounts of a platform that is down."""
    if tally.good:
        pace = replace(
            pace, failures=0, openings=0, open_until=None, probing_until=None, last_ok_at=now
        )
    if not tally.failing:
        return pace
    pace = replace(
        pace,
        failures=pace.failures + tally.failing,
        last_trouble_at=now,
        last_code=tally.code[:64],
    )
    if pace.open_until is not None and pace.open_until > now:
        # Calls that were under way when it opened: they tell nothing new.
        return pace
    if pace.open_until is None and pace.failures < THRESHOLD:
        return pace
    openings = pace.openings + 1
    wait = min(OPEN_FIRST * 2 ** min(openings - 1, 16), OPEN_LONGEST)
    return replace(
        pace,
        openings=openings,
        open_until=now + spread(wait, key=f"{key}/{openings}"),
        probing_until=None,
    )


@transaction.atomic
def take(
    wanted: Mapping[PlatformAccount, int], *, now: datetime, horizon: timedelta = HORIZON
) -> dict[int, Admission]:
    """Ask for so many calls of each account, in its merchant's scope; the answers by the account's id."""
    held = _locked({account.pk for account in wanted})
    answers: dict[int, Admission] = {}
    changed: dict[int, Pace] = {}
    for account, count in wanted.items():
        before = held[account.pk]
        after, answers[account.pk] = admit(
            before, wanted=count, limits=limits_of(account.platform), now=now, horizon=horizon
        )
        if after != before:
            changed[account.pk] = after
    _store(changed)
    return answers


def report(tallies: Mapping[int, Tally], *, now: datetime) -> None:
    """Tell what came of calls, by the account's id, in its merchant's scope."""
    clean = [pk for pk, tally in tallies.items() if tally.good and not tally.failing]
    if clean:
        # By far the commonest case costs one statement, and most of the time changes nothing.
        news = Q(last_ok_at=None) | Q(last_ok_at__lt=now - FRESH)
        trouble = Q(failures__gt=0) | Q(open_until__isnull=False)
        AccountPace.objects.filter(news | trouble, account_id__in=clean).update(
            failures=0, openings=0, open_until=None, probing_until=None, last_ok_at=now
        )
    with transaction.atomic():
        failing = {pk: tally for pk, tally in tallies.items() if tally.failing}
        held = _locked(failing.keys()) if failing else {}
        _store({pk: judge(pace, failing[pk], now=now, key=str(pk)) for pk, pace in held.items()})


def take_one(account: PlatformAccount, *, now: datetime) -> Admission:
    """Ask for one call at once, for those who cannot wait for a slot."""
    return take({account: 1}, now=now, horizon=timedelta(0))[account.pk]


def half_open(*, account_id: int, now: datetime) -> None:
    """Let the next worker try one call, however long the breaker would have stayed open."""
    AccountPace.objects.filter(account_id=account_id, open_until__gt=now).update(
        open_until=now, probing_until=None
    )


_FIELDS: Final = (
    "next_slot_at",
    "failures",
    "openings",
    "open_until",
    "probing_until",
    "last_ok_at",
    "last_trouble_at",
    "last_code",
)


def pace_of(row: AccountPace) -> Pace:
    """The rules' view of a stored row."""
    return Pace(**{name: getattr(row, name) for name in _FIELDS})


def _locked(account_ids: Collection[int]) -> dict[int, Pace]:
    """The accounts' rows under lock, always in the same order; made where they are missing."""
    rows = _lock(account_ids)
    missing = set(account_ids) - {row.account_id for row in rows}
    if missing:
        AccountPace.objects.bulk_create(
            [AccountPace(account_id=pk) for pk in sorted(missing)], ignore_conflicts=True
        )
        rows += _lock(missing)
    return {row.account_id: pace_of(row) for row in rows}


def _lock(account_ids: Iterable[int]) -> list[AccountPace]:
    rows = AccountPace.objects.select_for_update().filter(account_id__in=account_ids)
    return list(rows.order_by("account_id"))


def _store(paces: Mapping[int, Pace]) -> None:
    if not paces:
        return
    columns = ", ".join(f"{name} = told.{name}" for name in _FIELDS)
    types = "bigint timestamptz int int timestamptz timestamptz timestamptz timestamptz text"
    arrays = ", ".join(f"%s::{kind}[]" for kind in types.split())
    values = [list(paces), *([getattr(p, name) for p in paces.values()] for name in _FIELDS)]
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE platforms_accountpace AS pace SET {columns}"  # noqa: S608 - names of ours only
            f" FROM unnest({arrays}) AS told (account_id, {', '.join(_FIELDS)})"
            " WHERE pace.account_id = told.account_id",
            values,
        )
