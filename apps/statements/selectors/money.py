"""Where the money is: each platform account's receivable, split by what is known of it. The parts sum to the ledger.

What is kept back for refunds stands on an account of its own and is still owed by the platform, so both are taken together.
With ``ours`` what payments and refunds moved on the receivable, by the platform's own days:

    balance = taken (days without a settlement) + open settlements + differs (ours − settlement, of days that have one)
              + earlier (all of days before the first followed one) + by hand (every other entry) + stray

``stray`` is zero: what payouts took off the receivable is what their settlements were counted as.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Final

from apps.core import sql
from apps.core.tenancy import current_merchant_id
from apps.ledger.models import Purpose
from apps.ledger.selectors import held_on, trial_balance
from apps.platforms.models import PlatformAccount
from apps.statements.models import SettlementBasis, SettlementTerms
from apps.statements.selectors import bill_day_starts
from apps.statements.selectors.settlements import (
    OPEN_SQL,
    PLACE_SQL,
    Place,
    accounts_with_terms,
    covered_until,
    has_bank_lines,
)
from apps.statements.selectors.terms import cycle_on, terms_of, workday_exceptions
from apps.statements.working_days import due_date

#: Days of one account that its list names one by one.
MOST_DAYS: Final = 62
#: How many days back "arrived" counts on the page.
ARRIVED_DAYS: Final = 30

# Payments and refunds by the platform's day (and the account's cut-off), payouts, and everything else.
_MOVED: Final = """
SELECT m.what, m.bill_day + (m.local >= m.bill_day + COALESCE(%(cutoff)s::time, time '24:00'))::int,
       sum(m.minor)::bigint, count(*)
FROM (
    SELECT CASE WHEN e.subject_kind IN ('payment', 'refund') THEN 'ours'
                WHEN e.subject_kind = 'reserve' THEN 'reserve'
                WHEN e.subject_kind = 'payout' THEN 'payout' ELSE 'other' END AS what,
           p.amount_minor AS minor, e.at AT TIME ZONE 'Asia/Shanghai' AS local,
           ((e.at AT TIME ZONE 'Asia/Shanghai') - %(shift)s::interval)::date AS bill_day
    FROM ledger_account a
    JOIN ledger_posting p ON p.merchant_id = %(merchant)s AND p.account_id = a.id
    JOIN ledger_journalentry e ON e.merchant_id = %(merchant)s AND e.id = p.entry_id
    WHERE a.merchant_id = %(merchant)s AND a.purpose IN ('receivable', 'reserve') AND a.subject_id = %(account)s
) m
GROUP BY 1, 2 ORDER BY 2
"""
_SETTLED: Final = """
SELECT day, sum(COALESCE(settled_minor, net_minor))::bigint, sum(settled_minor)::bigint
FROM statements_settlement
WHERE merchant_id = %(merchant)s AND account_id = %(account)s AND NOT is_void
GROUP BY day
"""
_OPEN: Final = f"""
SELECT s.account_id, {PLACE_SQL}, count(*), sum(s.net_minor)::bigint, min(s.due_date), max(s.due_date)
{OPEN_SQL} GROUP BY 1, 2
"""  # constants
_ARRIVED: Final = """
SELECT account_id, count(*), sum(amount_minor)::bigint, max(booked_date) FROM statements_payout
WHERE merchant_id = %(merchant)s AND undone_at IS NULL AND booked_date >= %(since)s GROUP BY account_id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Settlements of one account that are in the same place: how many, their sum in fen, their due days."""

    count: int = 0
    minor: int = 0
    first_due: date | None = None
    last_due: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenDay:
    """A day whose money is taken and in no settlement: our net in fen, and when it should arrive by the terms."""

    day: date
    minor: int
    due: date
    is_late: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class GapDay:
    """A day whose settlement is not what our books hold: ours − the settlement, in fen."""

    day: date
    ours: int
    settled: int

    @property
    def minor(self) -> int:
        """What stays on the receivable of it."""
        return self.ours - self.settled


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountMoney:
    """One account's money. ``balance`` is the ledger's receivable with its reserve; the parts sum to it."""

    account: PlatformAccount
    terms: SettlementTerms
    #: When money of today is due: days later, and whether working days count.
    cycle: tuple[int, bool]
    balance: int
    #: Not settled yet. Of an account that is withdrawn from: what is in the platform's balance.
    taken: int
    taken_days: list[TakenDay] = field(default_factory=list)
    open: Mapping[Place, Part] = field(default_factory=dict)
    gaps: list[GapDay] = field(default_factory=list)
    #: What the books hold of days before ``terms.since``.
    earlier: int = 0
    by_hand: int = 0
    by_hand_count: int = 0
    stray: int = 0
    arrived: Part = field(default_factory=Part)
    #: What of the balance is kept back for refunds; it is in the parts, not beside them.
    reserve: int = 0

    @property
    def at_platform(self) -> int:
        """What refunds can be paid from, by the books: not settled yet, and what was put there by hand."""
        return self.taken + self.by_hand

    @property
    def reserve_there(self) -> int:
        """What of the reserve is at the platform, by the books."""
        return max(0, min(self.reserve, self.at_platform))

    @property
    def taken_free(self) -> int:
        """What is taken, not settled and not kept back."""
        return self.taken - min(self.reserve_there, max(0, self.taken))

    @property
    def by_hand_free(self) -> int:
        """What was booked by hand and is not kept back. With ``taken_free`` and ``reserve_there`` it makes ``at_platform``."""
        return self.at_platform - self.reserve_there - self.taken_free

    @property
    def reserve_paid_out(self) -> int:
        """What of the reserve the platform has paid out, or was never there."""
        return self.reserve - self.reserve_there

    @property
    def differs(self) -> int:
        """What the bills do not explain, over all days."""
        return sum(gap.minor for gap in self.gaps)

    @property
    def shown(self) -> int:
        """The sum of the parts."""
        parts = sum(part.minor for part in self.open.values())
        return self.taken + parts + self.differs + self.earlier + self.by_hand + self.stray

    def part(self, place: Place) -> Part:
        """The settlements in one place."""
        return self.open.get(place, Part())

    @property
    def on_its_way(self) -> Part:
        """Settled and not due yet, or due today."""
        return self.part(Place.ON_ITS_WAY)

    @property
    def unseen(self) -> Part:
        """Due by now; no bank statement tells whether it came."""
        return self.part(Place.UNSEEN)

    @property
    def overdue(self) -> Part:
        """Due, and not on the bank statement."""
        return self.part(Place.OVERDUE)

    @property
    def held(self) -> Part:
        """Held back."""
        return self.part(Place.HELD)

    @property
    def late_days(self) -> int:
        """Days that should have arrived and whose bill is not here."""
        return sum(day.is_late for day in self.taken_days)

    @property
    def is_withdrawn(self) -> bool:
        """Whether money stays at the platform until it is withdrawn."""
        return self.terms.basis == SettlementBasis.WITHDRAWAL


@dataclass(frozen=True, slots=True, kw_only=True)
class WhereMoney:
    """All accounts, and what has been seen of the bank."""

    accounts: Sequence[AccountMoney]
    covered_until: date | None
    has_bank: bool

    @property
    def balance(self) -> int:
        """What all platforms owe by the ledger."""
        return sum(one.balance for one in self.accounts)

    def total(self, name: str) -> int:
        """The sum of one part over all accounts."""
        found = (getattr(one, name) for one in self.accounts)
        return sum(part if isinstance(part, int) else part.minor for part in found)


def where_is_money(*, today: date) -> WhereMoney:
    """Where each account's money is. Two queries an account, and a few for all."""
    pairs = accounts_with_terms()
    merchant = current_merchant_id()
    held = {
        (row.account.purpose, row.account.subject_id): row.amount_minor for row in trial_balance()
    }
    covered = covered_until()
    placed: dict[int, dict[Place, Part]] = defaultdict(dict)
    values = {"merchant": merchant, "today": today, "covered": covered}
    for account_id, place, count, minor, first, last in sql.every(_OPEN, values):
        placed[account_id][Place(place)] = Part(
            count=count, minor=minor, first_due=first, last_due=last
        )
    since = today - timedelta(days=ARRIVED_DAYS)
    arrived = {
        account_id: Part(count=count, minor=minor, last_due=last)
        for account_id, count, minor, last in sql.every(
            _ARRIVED, {"merchant": merchant, "since": since}
        )
    }
    exceptions = workday_exceptions()
    return WhereMoney(
        accounts=[
            _account(
                account,
                terms,
                balance=held.get((Purpose.RECEIVABLE, account.pk), 0),
                reserve=held.get((Purpose.RESERVE, account.pk), 0),
                placed=placed.get(account.pk, {}),
                arrived=arrived.get(account.pk, Part()),
                exceptions=exceptions,
                today=today,
            )
            for account, terms in pairs
        ],
        covered_until=covered if covered != date.min else None,
        has_bank=covered != date.min or has_bank_lines(),
    )


def money_of(account: PlatformAccount, *, today: date) -> AccountMoney:
    """One account's money, without where its settlements are. Five queries."""
    return _account(
        account,
        terms_of([account])[account.pk],
        balance=held_on(Purpose.RECEIVABLE, account.pk),
        reserve=held_on(Purpose.RESERVE, account.pk),
        placed={},
        arrived=Part(),
        exceptions={},
        today=today,
    )


def _account(
    account: PlatformAccount,
    terms: SettlementTerms,
    *,
    balance: int,
    reserve: int,
    placed: Mapping[Place, Part],
    arrived: Part,
    exceptions: Mapping[date, bool],
    today: date,
) -> AccountMoney:
    values = {
        "merchant": current_merchant_id(),
        "account": account.pk,
        "shift": bill_day_starts(account.platform),
        "cutoff": terms.cutoff,
    }
    ours: dict[date, int] = {}
    sums = {"payout": 0, "other": 0}
    others = earlier = 0
    for what, day, minor, count in sql.every(_MOVED, values):
        if what == "reserve":
            # From one of the two accounts to the other: nothing of what the platform owes.
            continue
        if what != "payout" and terms.since is not None and day < terms.since:
            earlier += minor
        elif what == "ours":
            ours[day] = minor
        else:
            sums[what] += minor
            others += count if what == "other" else 0
    settled: dict[date, int] = {}
    paid = 0
    for day, minor, done in sql.every(_SETTLED, values):
        settled[day] = minor
        paid += done or 0
    if terms.basis == SettlementBasis.WITHDRAWAL:
        # A withdrawal is of the balance, not of a day.
        taken, days, gaps = sum(ours.values()) - sum(settled.values()), [], []
    else:
        free = {day: minor for day, minor in ours.items() if day not in settled and minor}
        taken = sum(free.values())
        days = [
            _taken_day(day, free[day], terms, exceptions, today=today)
            for day in sorted(free, reverse=True)
        ]
        gaps = [
            GapDay(day=day, ours=ours.get(day, 0), settled=settled[day])
            for day in sorted(settled, reverse=True)
            if ours.get(day, 0) != settled[day]
        ]
    return AccountMoney(
        account=account,
        terms=terms,
        cycle=cycle_on(terms, today),
        balance=balance + reserve,
        reserve=reserve,
        taken=taken,
        taken_days=days,
        open={place: part for place, part in placed.items() if place != Place.NOTHING},
        gaps=gaps,
        earlier=earlier,
        by_hand=sums["other"],
        by_hand_count=others,
        stray=sums["payout"] + paid,
        arrived=arrived,
    )


def _taken_day(
    day: date,
    minor: int,
    terms: SettlementTerms,
    exceptions: Mapping[date, bool],
    *,
    today: date,
) -> TakenDay:
    cycle_days, working_days = cycle_on(terms, day)
    due = due_date(
        day,
        cycle_days=cycle_days,
        working_days=working_days,
        exceptions=exceptions,
    )
    return TakenDay(day=day, minor=minor, due=due, is_late=due < today)


_PAYOUTS: Final = """
WITH facts AS (
    SELECT p.id, p.undone_at IS NOT NULL AS undone, p.amount_minor, p.settled_minor,
           (SELECT COALESCE(sum(l.amount_minor), 0) FROM statements_bankline l
            WHERE l.merchant_id = p.merchant_id AND l.payout_id = p.id) AS lines,
           (SELECT COALESCE(sum(s.settled_minor), 0) FROM statements_settlement s
            WHERE s.merchant_id = p.merchant_id AND s.payout_id = p.id) AS settlements,
           (SELECT sum(g.amount_minor) FROM ledger_posting g
            JOIN ledger_account a ON a.merchant_id = g.merchant_id AND a.id = g.account_id AND a.purpose = 'bank'
            WHERE g.merchant_id = p.merchant_id AND g.entry_id = p.entry_id) AS bank,
           (SELECT sum(g.amount_minor) FROM ledger_posting g
            JOIN ledger_account a ON a.merchant_id = g.merchant_id AND a.id = g.account_id AND a.purpose = 'bank'
            WHERE g.merchant_id = p.merchant_id AND g.entry_id = p.undo_entry_id) AS unbooked
    FROM statements_payout p WHERE p.merchant_id = %(merchant)s
)
SELECT id, CASE
    WHEN bank IS DISTINCT FROM amount_minor THEN 'is ' || amount_minor || ' fen, its entry ' || COALESCE(bank::text, 'is missing')
    WHEN undone AND unbooked IS DISTINCT FROM -amount_minor THEN 'is undone without a reversing entry'
    WHEN undone THEN 'is undone and still has rows'
    WHEN lines <> amount_minor THEN 'is ' || amount_minor || ' fen, its bank lines make ' || lines
    ELSE 'counts ' || settled_minor || ' fen of settlements, they make ' || settlements END
FROM facts
WHERE bank IS DISTINCT FROM amount_minor
   OR (undone AND (unbooked IS DISTINCT FROM -amount_minor OR lines <> 0 OR settlements <> 0))
   OR (NOT undone AND (lines <> amount_minor OR settlements <> settled_minor))
ORDER BY id LIMIT 1
"""


def payout_without_money() -> str:
    """The first payout that does not agree with its bank lines, settlements and entries; "" where all do."""
    bad = sql.first(_PAYOUTS, {"merchant": current_merchant_id()})
    return "" if bad is None else f"payout {bad[0]}, {bad[1]}"


def money_not_explained() -> str:
    """The first account whose parts do not sum to the ledger's receivable, or whose payouts strayed; "" where all do."""
    # Which day it is moves money from one part to another and changes no sum.
    for one in where_is_money(today=date.max).accounts:
        if one.shown != one.balance:
            return f"account {one.account.pk}, {one.balance} fen in the ledger, its parts make {one.shown}"
        if one.stray:
            return f"account {one.account.pk}, payouts took {one.stray} fen other than their settlements"
    return ""
