"""A month of days by state."""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.db.models import Count, F, Q, Sum

from apps.core import clock
from apps.ledger.models import BusinessDay
from apps.platforms.gateway import StatementKind
from apps.platforms.models import PlatformAccount
from apps.reconciliation.models import Difference, DifferenceState, ReconciliationRun
from apps.reconciliation.selectors.mornings import last_day
from apps.statements.models import AWAITED, StatementDay
from apps.statements.months import month_after

_ROWS = F("statement__payment_count") + F("statement__refund_count")


@dataclass(frozen=True, slots=True, kw_only=True)
class CalendarDay:
    """One day over all accounts, and what stands closed of it in the books.

    ``bill_count`` bills are expected or here, ``awaited_count`` of them still to come.
    """

    day: date
    is_over: bool
    bill_count: int = 0
    awaited_count: int = 0
    run_count: int = 0
    matched_count: int = 0
    row_count: int = 0
    open_count: int = 0
    is_closed: bool = False
    #: How often the day was closed.
    closings: int = 0

    @property
    def state(self) -> str:
        """The one word for the day: what a person has to do comes first, but a closed day is closed."""
        if self.is_closed:
            return "closed_again" if self.closings > 1 else "closed"
        if self.open_count:
            return "needs"
        if self.awaited_count or self.run_count < self.bill_count:
            return "waiting"
        if self.bill_count:
            return "matched"
        return "unexpected" if self.is_over else "ahead"

    @property
    def is_reopened(self) -> bool:
        """Whether it was closed and is open again."""
        return self.closings > 0 and not self.is_closed

    @property
    def is_plain(self) -> bool:
        """Whether there is nothing to open: no bill and no close."""
        return self.state in {"unexpected", "ahead"}


def _by_day(rows: Any, name: str = "day") -> dict[date, dict[str, Any]]:
    return {row[name]: row for row in rows}


def list_calendar(*, month: date, now: datetime) -> list[list[CalendarDay | None]]:
    """The weeks of a month from Monday on, None for days of the neighbours. Five queries for any number of accounts."""
    until = month_after(month)
    span = Q(day__gte=month, day__lt=until)
    bills = _by_day(
        StatementDay.objects.filter(span, kind=StatementKind.TRADE.value)
        .order_by()
        .values("day")
        .annotate(bills=Count("pk"), awaited=Count("pk", filter=Q(state__in=AWAITED)))
    )
    runs = _by_day(
        ReconciliationRun.objects.filter(span, is_current=True)
        .order_by()
        .values("day")
        .annotate(runs=Count("pk"), matched=Sum("matched_count"), rows=Sum(_ROWS))
    )
    opened = _by_day(
        Difference.objects.filter(
            state=DifferenceState.OPEN,
            run__is_current=True,
            run__day__gte=month,
            run__day__lt=until,
        )
        .order_by()
        .values("run__day")
        .annotate(count=Count("pk")),
        "run__day",
    )
    closed = {row.day: row for row in BusinessDay.objects.filter(span)}
    # Before the first bill of a morning may be asked for, nothing is expected yet, but it will be.
    coming = last_day(now) if PlatformAccount.objects.filter(is_active=True).exists() else None
    today = clock.business_date(now)

    def one(day: date) -> CalendarDay:
        bill, run, held = bills.get(day, {}), runs.get(day, {}), closed.get(day)
        awaits = day == coming and not bill
        return CalendarDay(
            day=day,
            is_over=day < today,
            bill_count=bill.get("bills", 0) or int(awaits),
            awaited_count=bill.get("awaited", 0) or int(awaits),
            run_count=run.get("runs", 0),
            matched_count=run.get("matched", 0),
            row_count=run.get("rows") or 0,
            open_count=opened.get(day, {}).get("count", 0),
            is_closed=held is not None and held.is_closed,
            closings=held.version if held else 0,
        )

    weeks: list[list[CalendarDay | None]] = []
    start = month - timedelta(days=month.weekday())
    for week in range(len(calendar.monthcalendar(month.year, month.month))):
        days = [start + timedelta(days=7 * week + place) for place in range(7)]
        weeks.append([one(day) if month <= day < until else None for day in days])
    return weeks
