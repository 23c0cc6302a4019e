"""What must be true before a business day is closed, item by item. Each is one statement over all of the day's rows.

A *blocking* item keeps the day open. A *warning* can be accepted by a person who says why. The bills of a business day are
those that the platforms name by the same date; where the business day starts later than midnight, what was paid after midnight
stands in the next day's bill and is matched there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time
from enum import StrEnum
from typing import Any, Final

from apps.core import clock, sql
from apps.core.tenancy import current_merchant_id
from apps.payments.models import OPEN_STATES
from apps.refunds.models import UNDER_WAY, RefundState


class Item(StrEnum):
    """The items, in the order in which they are shown."""

    OVER = "over"
    BILLS = "bills"
    MATCHED = "matched"
    DIFFERENCES = "differences"
    PAYMENTS = "payments"
    REFUNDS = "refunds"
    ADJUSTMENTS = "adjustments"
    BOOKS = "books"
    EARLIER = "earlier"


class Mark(StrEnum):
    """How an item stands."""

    FINE = "fine"
    WARNING = "warning"
    BLOCKING = "blocking"


@dataclass(frozen=True, slots=True)
class Spot:
    """One place where an item can be mended. ``run_id``, ``account_id``: where its page is found; ``day``: of another day."""

    count: int
    account: str = ""
    platform: str = ""
    account_id: int | None = None
    run_id: int | None = None
    detail: str = ""
    day: date | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """One item as it stands. ``count`` says of how many rows, 0 where all is well."""

    item: Item
    mark: Mark
    count: int = 0
    spots: tuple[Spot, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DaySums:
    """What is booked on the day, from its rows and from the journal. Amounts in fen; fees are charged less given back."""

    payment_count: int
    payment_minor: int
    refund_count: int
    refund_minor: int
    fee_minor: int
    entry_count: int
    debit_minor: int
    #: Entries that do not balance, and what rows and journal differ by.
    unbalanced: int
    journal_payment_minor: int
    journal_refund_minor: int

    @property
    def net_minor(self) -> int:
        """Paid less given back."""
        return self.payment_minor - self.refund_minor

    @property
    def wrong(self) -> int:
        """How many of the three proofs of the day's entries fail."""
        return (
            min(self.unbalanced, 1)
            + (self.journal_payment_minor != self.payment_minor)
            + (self.journal_refund_minor != self.refund_minor)
        )


@dataclass(frozen=True, slots=True)
class Checklist:
    """All items of a day, what the day holds, and the runs that count."""

    day: date
    checks: tuple[Check, ...]
    sums: DaySums
    run_ids: tuple[int, ...] = ()
    matched_count: int = 0
    difference_count: int = 0
    by_item: Mapping[Item, Check] = field(default_factory=dict)

    @property
    def blocking(self) -> list[Check]:
        """What keeps the day open."""
        return [check for check in self.checks if check.mark == Mark.BLOCKING]

    @property
    def warnings(self) -> list[Check]:
        """What a person must accept with a reason."""
        return [check for check in self.checks if check.mark == Mark.WARNING]


_ACCOUNTS: Final = """
SELECT a.id, a.label, a.platform, a.is_active, a.created_at < %(until)s, COALESCE(d.state, ''), s.id, r.id, r.statement_id,
    COALESCE(r.matched_count, 0), COALESCE(r.difference_count, 0),
    EXISTS (SELECT FROM payments_payment p
            WHERE p.merchant_id = a.merchant_id AND p.account_id = a.id AND p.booked_date = %(day)s)
    OR EXISTS (SELECT FROM refunds_refund f
               WHERE f.merchant_id = a.merchant_id AND f.account_id = a.id AND f.booked_date = %(day)s),
    (SELECT count(*) FROM reconciliation_difference x
     WHERE x.merchant_id = a.merchant_id AND x.run_id = r.id AND x.state = 'open')
FROM platforms_platformaccount a
LEFT JOIN statements_statementday d
    ON d.merchant_id = a.merchant_id AND d.account_id = a.id AND d.kind = 'trade' AND d.day = %(day)s
LEFT JOIN statements_statement s
    ON s.merchant_id = a.merchant_id AND s.account_id = a.id AND s.kind = 'trade' AND s.day = %(day)s AND s.is_current
LEFT JOIN reconciliation_reconciliationrun r
    ON r.merchant_id = a.merchant_id AND r.account_id = a.id AND r.day = %(day)s AND r.is_current
WHERE a.merchant_id = %(merchant)s ORDER BY a.id
"""
_OPEN_PAYMENTS: Final = """
SELECT state, count(*) FROM payments_payment
WHERE merchant_id = %(merchant)s AND created_at >= %(from)s AND created_at < %(until)s AND state = ANY(%(open)s::text[])
GROUP BY state ORDER BY state
"""
_OPEN_REFUNDS: Final = """
SELECT state, count(*) FROM refunds_refund
WHERE merchant_id = %(merchant)s AND created_at >= %(from)s AND created_at < %(until)s AND state = ANY(%(under_way)s::text[])
GROUP BY state ORDER BY state
"""
_WAITING_ADJUSTMENTS: Final = """
SELECT count(*) FROM ledger_adjustment
WHERE merchant_id = %(merchant)s AND state = 'waiting' AND at >= %(from)s AND at < %(until)s
"""
_SUMS: Final = """
WITH entries AS MATERIALIZED (
    SELECT e.id, e.kind, count(p.id) AS sides, COALESCE(sum(p.amount_minor), 0) AS over,
        COALESCE(sum(p.amount_minor) FILTER (WHERE p.amount_minor > 0), 0) AS debit,
        COALESCE(sum(p.amount_minor) FILTER (WHERE a.purpose = 'fees'), 0) AS fees
    FROM ledger_journalentry e
    LEFT JOIN ledger_posting p ON p.merchant_id = e.merchant_id AND p.entry_id = e.id
    LEFT JOIN ledger_account a ON a.merchant_id = p.merchant_id AND a.id = p.account_id
    WHERE e.merchant_id = %(merchant)s AND e.booked_date = %(day)s GROUP BY e.id, e.kind
), booked AS (
    SELECT count(*) AS entries, COALESCE(sum(debit), 0) AS debit, COALESCE(sum(fees), 0) AS fees,
        count(*) FILTER (WHERE over <> 0 OR sides < 2) AS unbalanced,
        COALESCE(sum(debit) FILTER (WHERE kind = 'payment'), 0) AS payments,
        COALESCE(sum(debit) FILTER (WHERE kind = 'refund'), 0) AS refunds
    FROM entries
), paid AS (
    SELECT count(*) AS rows, COALESCE(sum(amount_minor), 0) AS minor FROM payments_payment
    WHERE merchant_id = %(merchant)s AND booked_date = %(day)s AND state = 'succeeded'
), given AS (
    SELECT count(*) AS rows, COALESCE(sum(amount_minor), 0) AS minor FROM refunds_refund
    WHERE merchant_id = %(merchant)s AND booked_date = %(day)s AND state = 'succeeded'
)
SELECT paid.rows, paid.minor, given.rows, given.minor, booked.fees, booked.entries, booked.debit, booked.unbalanced,
    booked.payments, booked.refunds
FROM paid, given, booked
"""
#: From the first day on that was ever closed; before the first closing all of them.
_EARLIER: Final = """
SELECT count(*), min(b.day) FROM ledger_businessday b
WHERE b.merchant_id = %(merchant)s AND b.day < %(day)s AND NOT b.is_closed
  AND b.day >= COALESCE((SELECT min(c.day) FROM reconciliation_dayclose c WHERE c.merchant_id = b.merchant_id), b.day)
  AND EXISTS (SELECT FROM ledger_journalentry e WHERE e.merchant_id = b.merchant_id AND e.booked_date = b.day)
"""


def _values(day: date, day_starts_at: time) -> dict[str, Any]:
    from_at, until = clock.business_period(day, day_starts_at)
    return {
        "merchant": current_merchant_id(),
        "day": day,
        "from": from_at,
        "until": until,
        "open": [state.value for state in OPEN_STATES],
        "under_way": [RefundState.WAITING.value, *(state.value for state in UNDER_WAY)],
    }


def sum_day(day: date) -> DaySums:
    """What is booked on the day. One query."""
    row = sql.first(_SUMS, {"merchant": current_merchant_id(), "day": day})
    assert row is not None  # noqa: S101  # aggregates always give one row
    names = DaySums.__dataclass_fields__
    return DaySums(**{name: int(value) for name, value in zip(names, row, strict=True)})


def check_day(day: date, *, day_starts_at: time, now: datetime) -> Checklist:
    """The checklist of a business day as it stands. Six queries, however large the day."""
    values = _values(day, day_starts_at)
    accounts = sql.every(_ACCOUNTS, values)
    sums = sum_day(day)
    found = [
        Check(Item.OVER, Mark.FINE if now >= values["until"] else Mark.BLOCKING),
        *_bill_checks(accounts),
        _counted(Item.PAYMENTS, Mark.BLOCKING, sql.every(_OPEN_PAYMENTS, values)),
        _counted(Item.REFUNDS, Mark.WARNING, sql.every(_OPEN_REFUNDS, values)),
        _adjustments(sql.first(_WAITING_ADJUSTMENTS, values)),
        _marked(Item.BOOKS, Mark.BLOCKING, [Spot(sums.wrong)] if sums.wrong else []),
        _earlier(sql.first(_EARLIER, values)),
    ]
    runs = [row for row in accounts if row[7] is not None]
    return Checklist(
        day=day,
        checks=tuple(found),
        sums=sums,
        run_ids=tuple(row[7] for row in runs),
        matched_count=sum(row[9] for row in runs),
        difference_count=sum(row[10] for row in runs),
        by_item={check.item: check for check in found},
    )


def _marked(item: Item, mark: Mark, spots: list[Spot]) -> Check:
    count = sum(spot.count for spot in spots)
    return Check(item, mark if count else Mark.FINE, count, tuple(spots))


def _counted(item: Item, mark: Mark, rows: list[tuple[Any, ...]]) -> Check:
    return _marked(item, mark, [Spot(count, detail=state) for state, count in rows])


def _adjustments(row: tuple[Any, ...] | None) -> Check:
    count = row[0] if row else 0
    return _marked(Item.ADJUSTMENTS, Mark.BLOCKING, [Spot(count)] if count else [])


def _earlier(row: tuple[Any, ...] | None) -> Check:
    count, first = row or (0, None)
    return _marked(Item.EARLIER, Mark.WARNING, [Spot(count, day=first)] if count else [])


def _bill_checks(accounts: list[tuple[Any, ...]]) -> list[Check]:
    """Bills here or known to be empty, each matched in its present version, no difference open.

    A bill that is still to come keeps the day open where the account has money on it; elsewhere it is a warning.
    """
    missing: list[Spot] = []
    unmatched: list[Spot] = []
    differing: list[Spot] = []
    has_money = False
    for row in accounts:
        (
            pk,
            label,
            platform,
            active,
            existed,
            state,
            bill,
            run,
            run_bill,
            _matched,
            _all,
            moved,
            left,
        ) = row
        spot = Spot(1, account=label, platform=platform, account_id=pk, run_id=run, detail=state)
        expected = moved or state != "" or (active and existed)
        if state not in {"imported", "empty"}:
            if expected:
                missing.append(spot)
                has_money = has_money or moved
        elif (run is None and (bill is not None or moved)) or (
            run is not None and run_bill != bill
        ):
            unmatched.append(spot)
        if left:
            differing.append(
                Spot(left, account=label, platform=platform, account_id=pk, run_id=run)
            )
    return [
        _marked(Item.BILLS, Mark.BLOCKING if has_money else Mark.WARNING, missing),
        _marked(Item.MATCHED, Mark.BLOCKING, unmatched),
        _marked(Item.DIFFERENCES, Mark.BLOCKING, differing),
    ]
