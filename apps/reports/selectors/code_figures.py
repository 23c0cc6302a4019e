"""What codes did over some business days: scans, the way from a scan to money, and the money.

Both pages and each row of them come from ``figures_of``, and its money from the filter of the transactions list, so that what
one page says of a code is what the other says, and what the list adds up to.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, fields
from datetime import date, datetime, time, timedelta
from typing import Any, Final

from apps.core import clock, sql
from apps.core.tenancy import current_scope
from apps.reports.selectors.filters import TransactionFilters
from apps.reports.selectors.transactions import sum_by

#: The longest period that statistics are made of, in days.
MAX_STATISTICS_DAYS: Final = 366
#: A whole in basis points.
WHOLE_BP: Final = 10_000


@dataclass(frozen=True, slots=True)
class CodePeriod:
    """Business days, both ends included, of a merchant whose day starts at ``day_starts_at`` (China time)."""

    first: date
    last: date
    day_starts_at: time = time(0)

    @property
    def start(self) -> datetime:
        """The instant at which the first day begins."""
        return clock.business_period(self.first, self.day_starts_at)[0]

    @property
    def end(self) -> datetime:
        """The instant at which the last day has ended; the period does not hold it."""
        return clock.business_period(self.last, self.day_starts_at)[1]

    @property
    def days(self) -> list[date]:
        """Each day of it, the first first."""
        return [
            self.first + timedelta(days=number)
            for number in range((self.last - self.first).days + 1)
        ]

    def transactions(
        self, *, code_id: int | None = None, store_id: int | None = None
    ) -> TransactionFilters:
        """The filter of the transactions list that shows the same money."""
        return TransactionFilters(
            date_from=self.first,
            date_to=self.last,
            code_id=code_id,
            store_id=store_id,
            day_starts_at=self.day_starts_at,
        )


def share_bp(part: int, whole: int) -> int | None:
    """``part`` of ``whole`` in basis points, rounded down; None where there is no whole."""
    return part * WHOLE_BP // whole if whole else None


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeFigures:
    """What was done with one or more codes. Amounts in fen.

    ``scans`` are openings. ``orders`` were opened by customers in the period, ``begun`` of them had a payment begun, ``paid`` of
    them are paid by now, whenever that was. The money is what is *booked* in the period, as the transactions list has it.
    """

    scans: int = 0
    orders: int = 0
    begun: int = 0
    paid: int = 0
    payment_count: int = 0
    payment_minor: int = 0
    refund_count: int = 0
    refund_minor: int = 0

    @property
    def net_minor(self) -> int:
        """Paid less given back."""
        return self.payment_minor - self.refund_minor

    @property
    def paid_share_bp(self) -> int | None:
        """How many of its scans ended in a paid order, in basis points; None without scans."""
        return share_bp(self.paid, self.scans)

    def __add__(self, other: CodeFigures) -> CodeFigures:
        return CodeFigures(
            **{
                field.name: getattr(self, field.name) + getattr(other, field.name)
                for field in fields(self)
            }
        )


#: Which code, and in which store it was then (a code may move).
Place = tuple[int, int | None]


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures by code and store, and the median seconds from an order to its payment over all of them.

    The median is that of two in the middle which is lower; None where nothing was paid.
    """

    by_place: dict[Place, CodeFigures]
    median_seconds: int | None

    @property
    def total(self) -> CodeFigures:
        """All of it together."""
        return sum(self.by_place.values(), CodeFigures())

    def by_code(self) -> dict[int, CodeFigures]:
        """By code, whatever store it was in."""
        found: dict[int, CodeFigures] = defaultdict(CodeFigures)
        for (code_id, _store_id), figures in self.by_place.items():
            found[code_id] += figures
        return dict(found)

    def by_store(self) -> dict[int | None, CodeFigures]:
        """By store, whatever code it was."""
        found: dict[int | None, CodeFigures] = defaultdict(CodeFigures)
        for (_code_id, store_id), figures in self.by_place.items():
            found[store_id] += figures
        return dict(found)


_OF = """
merchant_id = %(merchant)s AND {at} >= %(start)s AND {at} < %(end)s
    AND (%(code)s::bigint IS NULL OR code_id = %(code)s)
    AND (%(store)s::bigint IS NULL OR store_id = %(store)s)
    AND (%(stores)s::bigint[] IS NULL OR store_id = ANY(%(stores)s))
"""
_OF_ONE = _OF.replace("(%(code)s::bigint IS NULL OR code_id = %(code)s)", "code_id = %(code)s")

_SCANS = """
SELECT code_id, store_id, count(*) FROM qrcodes_scan WHERE {of} GROUP BY code_id, store_id
"""
#: The last row, of no code, holds the median over all.
_ORDERS = """
SELECT code_id, store_id, count(*), count(*) FILTER (WHERE begun), count(paid_at),
    percentile_disc(0.5) WITHIN GROUP (ORDER BY floor(extract(epoch FROM paid_at - created_at))::bigint)
        FILTER (WHERE paid_at IS NOT NULL)
FROM (
    SELECT code_id, store_id, created_at, paid_at, EXISTS (
        SELECT FROM payments_payment AS payment
        WHERE payment.merchant_id = orders.merchant_id AND payment.order_id = orders.id
    ) AS begun
    FROM payments_order AS orders
    WHERE code_id IS NOT NULL AND source = 'portal' AND {of}
) AS opened
GROUP BY GROUPING SETS ((code_id, store_id), ())
"""
_TIMES = """
SELECT GROUPING(hour), GROUPING(wallet), weekday, hour, day, wallet, count(*)
FROM (
    SELECT day, extract(isodow FROM day)::int AS weekday, hour, wallet
    FROM (
        SELECT (at AT TIME ZONE 'Asia/Shanghai' - %(shift)s::interval)::date AS day,
            extract(hour FROM at AT TIME ZONE 'Asia/Shanghai')::int AS hour, wallet
        FROM qrcodes_scan WHERE {of}
    ) AS opened
) AS opened
GROUP BY GROUPING SETS ((weekday, hour), (day), (wallet))
"""


def shift_of(day_starts_at: time) -> timedelta:
    """How far after midnight a business day starts."""
    return timedelta(hours=day_starts_at.hour, minutes=day_starts_at.minute)


def _values(period: CodePeriod, code_id: int | None, store_id: int | None) -> dict[str, Any]:
    scope = current_scope()
    return {
        "merchant": scope.merchant_id,
        "stores": None if scope.store_ids is None else sorted(scope.store_ids),
        "start": period.start,
        "end": period.end,
        "code": code_id,
        "store": store_id,
    }


def _rows(statement: str, at: str, values: dict[str, Any]) -> list[tuple[Any, ...]]:
    # With the code alone in the condition PostgreSQL goes to it in the index, whether or not it plans the statement anew.
    of = (_OF if values["code"] is None else _OF_ONE).format(at=at)
    return sql.every(statement.format(of=of), values)


def figures_of(
    period: CodePeriod, *, code_id: int | None = None, store_id: int | None = None
) -> Figures:
    """Figures of all codes, of one, or of one store, within the scope's stores. Three statements.

    Only what happened in stores in scope counts, also of a code that came from elsewhere.
    """
    values = _values(period, code_id, store_id)
    found: dict[Place, CodeFigures] = defaultdict(CodeFigures)
    for code, store, scans in _rows(_SCANS, "at", values):
        found[code, store] += CodeFigures(scans=scans)
    median: int | None = None
    for code, store, orders, begun, paid, middle in _rows(_ORDERS, "created_at", values):
        if code is None:
            median = middle
        else:
            found[code, store] += CodeFigures(orders=orders, begun=begun, paid=paid)
    money = period.transactions(code_id=code_id, store_id=store_id)
    for (code, store), sums in sum_by(money, "code_id", "store_id").items():
        if code is not None:
            found[code, store] += CodeFigures(
                payment_count=sums.payment_count,
                payment_minor=sums.payment_minor,
                refund_count=sums.refund_count,
                refund_minor=sums.refund_minor,
            )
    return Figures(dict(found), median)


@dataclass(frozen=True, slots=True)
class ScanTimes:
    """When a code was opened, and with what.

    ``by_hour``: by weekday of the business day (1 is Monday) and hour of the clock in China; ``by_wallet``: by platform, "" for
    other browsers. Absent means none.
    """

    by_hour: dict[tuple[int, int], int]
    by_day: dict[date, int]
    by_wallet: dict[str, int]


def scan_times(period: CodePeriod, *, code_id: int) -> ScanTimes:
    """When one code was opened in the stores in scope. One statement."""
    times = ScanTimes({}, {}, {})
    values = _values(period, code_id, None) | {"shift": shift_of(period.day_starts_at)}
    for no_hour, no_wallet, weekday, hour, day, wallet, count in _rows(_TIMES, "at", values):
        if not no_hour:
            times.by_hour[weekday, hour] = count
        elif not no_wallet:
            times.by_wallet[wallet] = count
        else:
            times.by_day[day] = count
    return times


@dataclass(frozen=True, slots=True)
class DayMoney:
    """What was booked on one day, in fen."""

    payment_count: int = 0
    payment_minor: int = 0


def money_by_day(period: CodePeriod, *, code_id: int) -> dict[date, DayMoney]:
    """What one code took on each day, as the transactions list has it. One statement."""
    sums = sum_by(period.transactions(code_id=code_id), "booked_date")
    return {
        day: DayMoney(one.payment_count, one.payment_minor)
        for (day,), one in sums.items()
        if day is not None and one.payment_count
    }
