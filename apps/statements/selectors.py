"""Reading bills: which are expected or here, their rows, and how console exports are read."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db.models import Max, Min

from apps.core import clock
from apps.core.models import Due
from apps.core.tenancy import ScopedQuerySet, current_merchant_id
from apps.platforms.gateway import Capability, LineKind, Platform, PlatformGateway, StatementKind
from apps.platforms.registry import CONNECTORS, capabilities_of
from apps.statements import wording
from apps.statements.models import AWAITED, ColumnMap, Statement, StatementDay, StatementLine

#: The due tasks that bring a bill: by downloading it, or by asking about each payment.
FETCHING = ("statements.fetch", "statements.sweep")


def bill_day_starts(platform: str) -> timedelta:
    """When the platform's own day begins, counted from 00:00 China time of the day it is named by."""
    connector = CONNECTORS.get(Platform(platform), PlatformGateway)
    return connector.bill_day_starts


def bill_period(platform: str, day: date) -> tuple[datetime, datetime]:
    """The half-open period ``[from, until)`` that a platform's bill of ``day`` covers, in UTC.

    UnionPay's settlement day runs from 23:00 of the day before to 23:00 China time, the others' from 00:00 to 24:00.
    """
    from_at, until = clock.business_period(day)
    shift = bill_day_starts(platform)
    return from_at + shift, until + shift


def is_asked(platform: str) -> bool:
    """Whether the platform has no bills to download, so that each payment is asked about instead."""
    return Capability.TRADE_STATEMENT not in capabilities_of(platform)


def kinds_of(platform: str) -> tuple[StatementKind, ...]:
    """The kinds of bill that can be had of a platform: the trade bill always, if only by asking."""
    funds = Capability.FUND_STATEMENT in capabilities_of(platform)
    return (StatementKind.TRADE, StatementKind.FUND) if funds else (StatementKind.TRADE,)


def current_statement(*, account_id: int, kind: str, day: date) -> Statement | None:
    """The current version of one account's bill of one day, without its content, or None."""
    rows = Statement.objects.filter(account_id=account_id, kind=kind, day=day, is_current=True)
    return rows.defer("content_sealed").first()


def list_days(*, since: date, until: date) -> ScopedQuerySet[StatementDay]:
    """The expected trade bills of the days in ``[since, until)``, newest day first."""
    return (
        StatementDay.objects.get_queryset()
        .filter(kind=StatementKind.TRADE.value, day__gte=since, day__lt=until)
        .select_related("account")
        .order_by("-day", "account_id")
    )


def days_known() -> tuple[date, date] | None:
    """The first and the last day of which a trade bill is expected or here; None where there is none."""
    found = StatementDay.objects.filter(kind=StatementKind.TRADE.value).aggregate(
        first=Min("day"), last=Max("day")
    )
    return (found["first"], found["last"]) if found["first"] else None


def list_versions(*, account_id: int, day: date) -> list[Statement]:
    """All versions of one day's bills, trade bills first and newest first, without their contents."""
    rows = Statement.objects.filter(account_id=account_id, day=day).defer("content_sealed")
    return list(rows.select_related("uploaded_by").order_by("-kind", "-version"))


def other_lines(statement: Statement, *, limit: int = 50) -> list[StatementLine]:
    """Rows of a trade bill that are neither payments nor refunds: they move no money between payer and merchant."""
    rows = StatementLine.objects.filter(statement=statement)
    return list(
        rows.exclude(kind__in=[LineKind.PAYMENT.value, LineKind.REFUND.value]).order_by("row")[
            :limit
        ]
    )


def next_tries(days: Collection[StatementDay]) -> dict[int, datetime]:
    """When the portal asks for these bills again, by StatementDay; those without a plan are left out."""
    rows = Due.objects.filter(
        task__in=FETCHING,
        merchant_id=current_merchant_id(),
        subject_id__in=[day.pk for day in days],
    )
    return dict(rows.values_list("subject_id", "due_at"))


def columns_of(account_id: int) -> ColumnMap | None:
    """The column map of an account's console exports, if somebody made one."""
    return ColumnMap.objects.select_related("updated_by").filter(account_id=account_id).first()


@dataclass(frozen=True, slots=True)
class Bill:
    """One account's bill of one kind and day: what is expected, what is here, when the portal asks again."""

    expected: StatementDay
    current: Statement | None
    next_try: datetime | None

    @property
    def is_awaited(self) -> bool:
        """Whether it is still to come."""
        return self.expected.state in AWAITED

    @property
    def detail(self) -> str:
        """What stands in its way, in the reader's words."""
        return wording.detail_words(self.expected.account.platform, self.expected.detail)

    @property
    def rows(self) -> int:
        """The payments and refunds of a trade bill, the movements in and out of a fund bill."""
        return self.current.payment_count + self.current.refund_count if self.current else 0

    @property
    def is_asked(self) -> bool:
        """Whether it is made by asking about each payment."""
        if self.current is not None:
            return self.current.is_asked
        return self.expected.kind == StatementKind.TRADE and is_asked(
            self.expected.account.platform
        )


def list_bills(*, since: date, until: date, account_id: int | None = None) -> list[Bill]:
    """The bills of every kind of the days in ``[since, until)``, newest day first, trade before fund."""
    days = StatementDay.objects.filter(day__gte=since, day__lt=until)
    bills = Statement.objects.filter(day__gte=since, day__lt=until, is_current=True)
    if account_id is not None:
        days = days.filter(account_id=account_id)
        bills = bills.filter(account_id=account_id)
    expected = list(
        days.select_related("account")
        .defer("account__credentials_sealed")
        .order_by("-day", "account_id", "-kind")
    )
    current = {(row.account_id, row.kind, row.day): row for row in bills.defer("content_sealed")}
    tries = next_tries([row for row in expected if row.state in AWAITED])
    return [
        Bill(row, current.get((row.account_id, row.kind, row.day)), tries.get(row.pk))
        for row in expected
    ]
