"""Reading bills."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime

from django.db.models import Max, Min

from apps.core.models import Due
from apps.core.tenancy import ScopedQuerySet, current_merchant_id
from apps.platforms.gateway import LineKind, StatementKind
from apps.statements.models import Statement, StatementDay, StatementLine


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
        task="statements.fetch",
        merchant_id=current_merchant_id(),
        subject_id__in=[day.pk for day in days],
    )
    return dict(rows.values_list("subject_id", "due_at"))
