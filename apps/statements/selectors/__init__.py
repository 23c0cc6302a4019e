"""Reading bills: which are expected or here, their rows, and how console exports are read."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final, Generic, TypeVar

from django.db.models import Case, Count, F, Max, Min, Model, QuerySet, Sum, Value, When

from apps.core import clock, keyset
from apps.core.models import Due
from apps.core.tenancy import ScopedQuerySet, current_merchant_id
from apps.platforms.gateway import Capability, LineKind, Platform, PlatformGateway, StatementKind
from apps.platforms.registry import CONNECTORS, capabilities_of
from apps.statements import wording
from apps.statements.models import (
    AWAITED,
    UNDER_WAY,
    ChangeKind,
    ColumnMap,
    Statement,
    StatementChange,
    StatementDay,
    StatementLine,
    Upload,
    UploadState,
)

#: The due tasks that bring a bill: by downloading it, or by asking about each payment.
FETCHING = ("statements.fetch", "statements.sweep")
#: Rows on a page.
PAGE_SIZE: Final = 50

_Row = TypeVar("_Row", bound=Model)


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
    return rows.first()


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
    rows = Statement.objects.filter(account_id=account_id, day=day)
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
    current = {(row.account_id, row.kind, row.day): row for row in bills}
    tries = next_tries([row for row in expected if row.state in AWAITED])
    return [
        Bill(row, current.get((row.account_id, row.kind, row.day)), tries.get(row.pk))
        for row in expected
    ]


@dataclass(frozen=True)  # without slots: with them Part[Row]() fails on Python 3.11
class Part(Generic[_Row]):
    """Some rows of a long list in its order; ``after`` is the place of the next page, "" where there is none."""

    rows: list[_Row]
    after: str = ""


def _part(rows: QuerySet[_Row], *, key: str, after: str, size: int) -> Part[_Row]:
    place = keyset.decode_id(after)
    if place is not None:
        rows = rows.filter(**{f"{key}__gt": place})
    found = list(rows.order_by(key)[: size + 1])
    more = str(getattr(found[size - 1], key)) if len(found) > size else ""
    return Part(found[:size], more)


def get_statement_day(day_id: int) -> StatementDay:
    """The row that follows one account's bill of a day. Raises StatementDay.DoesNotExist."""
    found: StatementDay = StatementDay.objects.get(pk=day_id)
    return found


def get_statement(statement_id: int) -> Statement:
    """One version of a bill. Raises Statement.DoesNotExist."""
    rows = Statement.objects.select_related("account", "uploaded_by")
    return rows.defer("account__credentials_sealed").get(pk=statement_id)


def page_lines(
    statement: Statement, *, after: str = "", size: int = PAGE_SIZE
) -> Part[StatementLine]:
    """Rows of a bill in the order of its file. Raises BadCursor."""
    lines = StatementLine.objects.filter(statement=statement)
    return _part(lines, key="row", after=after, size=size)


def previous_version(statement: Statement) -> Statement | None:
    """The version before, which a version's changes are counted from; None for the first."""
    return Statement.objects.filter(
        account_id=statement.account_id,
        kind=statement.kind,
        day=statement.day,
        version=statement.version - 1,
    ).first()


@dataclass(frozen=True, slots=True)
class ChangeSum:
    """How many rows of a version were added, removed or changed, and what they come to, in fen.

    Payments and income count positive, refunds and expense negative; fees are apart.
    """

    kind: ChangeKind
    count: int
    before_minor: int
    after_minor: int
    before_fee_minor: int
    after_fee_minor: int

    @property
    def effect_minor(self) -> int:
        """By how much the bill's sum is another."""
        return self.after_minor - self.before_minor

    @property
    def fee_effect_minor(self) -> int:
        """By how much its fees are."""
        return self.after_fee_minor - self.before_fee_minor


def change_sums(statement: Statement) -> list[ChangeSum]:
    """What a version's changes come to, by kind of change; all three are there."""
    fund = statement.kind == StatementKind.FUND

    def signed(side: str) -> Sum:
        field, plus, minus = ("status", "in", "out") if fund else ("kind", "payment", "refund")
        amount = F(f"{side}__amount_minor")
        return Sum(
            Case(
                When(**{f"{side}__{field}": plus}, then=amount),
                When(**{f"{side}__{field}": minus}, then=-amount),
                default=Value(0),
            )
        )

    found: dict[str, dict[str, Any]] = {
        str(row["kind"]): dict(row)
        for row in StatementChange.objects.filter(statement=statement)
        .values("kind")
        .annotate(
            count=Count("pk"),
            was=signed("before"),
            now=signed("line"),
            was_fee=Sum("before__fee_minor"),
            now_fee=Sum("line__fee_minor"),
        )
        .order_by()
    }
    return [
        ChangeSum(
            kind=kind,
            count=row.get("count", 0),
            before_minor=int(row.get("was") or 0),
            after_minor=int(row.get("now") or 0),
            before_fee_minor=int(row.get("was_fee") or 0),
            after_fee_minor=int(row.get("now_fee") or 0),
        )
        for kind in ChangeKind
        for row in [found.get(kind.value, {})]
    ]


def page_changes(
    statement: Statement, *, kind: str = "", after: str = "", size: int = PAGE_SIZE
) -> Part[StatementChange]:
    """The rows in which a version differs from the one before it, with both sides. Raises BadCursor."""
    changes = StatementChange.objects.filter(statement=statement)
    if kind in ChangeKind.values:
        changes = changes.filter(kind=kind)
    return _part(changes.select_related("line", "before"), key="pk", after=after, size=size)


def get_upload(upload_id: int) -> Upload:
    """One upload. Raises Upload.DoesNotExist."""
    rows = Upload.objects.select_related("account", "uploaded_by", "statement")
    return rows.defer("account__credentials_sealed").get(pk=upload_id)


@dataclass(frozen=True, slots=True)
class Kept:
    """An upload as the bills' page shows it."""

    upload: Upload

    @property
    def reason(self) -> str:
        """Why it was refused, in the reader's words."""
        return wording.detail_words(self.upload.account.platform, self.upload.detail)


def list_uploads(*, limit: int = 100) -> list[Kept]:
    """Uploads that are under way or kept because they were refused, newest first."""
    rows = Upload.objects.filter(state__in=[*UNDER_WAY, UploadState.REFUSED])
    rows = rows.select_related("account", "uploaded_by").defer("account__credentials_sealed")
    return [Kept(row) for row in rows.order_by("-created_at", "-pk")[:limit]]
