"""Reading bills."""

from __future__ import annotations

from datetime import date

from apps.core.tenancy import ScopedQuerySet
from apps.statements.models import Statement, StatementDay


def current_statement(*, account_id: int, kind: str, day: date) -> Statement | None:
    """The current version of one account's bill of one day, or None."""
    return Statement.objects.filter(
        account_id=account_id, kind=kind, day=day, is_current=True
    ).first()


def list_days() -> ScopedQuerySet[StatementDay]:
    """All expected bills, newest day first."""
    return (
        StatementDay.objects.get_queryset()
        .select_related("account")
        .order_by("-day", "account_id", "kind")
    )


def list_versions(*, account_id: int, kind: str, day: date) -> list[Statement]:
    """All versions of one bill, newest first, without their contents."""
    rows = Statement.objects.filter(account_id=account_id, kind=kind, day=day)
    return list(rows.defer("content_sealed").select_related("uploaded_by").order_by("-version"))
