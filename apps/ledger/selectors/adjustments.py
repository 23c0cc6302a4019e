"""Adjustments and the limit above which one is confirmed."""

from __future__ import annotations

from dataclasses import dataclass

from apps.core import keyset
from apps.core.tenancy import ScopedQuerySet
from apps.ledger.models import Adjustment, AdjustmentLine, AdjustmentRule, AdjustmentState

PAGE_SIZE = 25


@dataclass(frozen=True, slots=True)
class AdjustmentFilters:
    """What the list is narrowed to; "" narrows nothing."""

    state: str = ""
    reason: str = ""


def current_limit() -> AdjustmentRule:
    """The rule in force; until the merchant writes one it is version 0: every adjustment is confirmed."""
    last: AdjustmentRule | None = (
        AdjustmentRule.objects.select_related("created_by").order_by("-version").first()
    )
    return last or AdjustmentRule(version=0, limit_minor=0)


def limit_history() -> list[AdjustmentRule]:
    """All versions, newest first."""
    return list(AdjustmentRule.objects.select_related("created_by").order_by("-version")[:20])


def _adjustments() -> ScopedQuerySet[Adjustment]:
    rows: ScopedQuerySet[Adjustment] = Adjustment.objects.select_related("requested_by")  # type: ignore[assignment]  # the manager's class is lost on the way
    return rows


def get_adjustment(adjustment_id: int) -> Adjustment:
    """One adjustment with who asked for it. Raises Adjustment.DoesNotExist."""
    return _adjustments().get(pk=adjustment_id)


def lines_of(adjustment: Adjustment) -> list[AdjustmentLine]:
    """Its lines with their accounts, debits first."""
    rows = list(adjustment.lines.select_related("account").order_by("pk"))
    return sorted(rows, key=lambda row: row.amount_minor < 0)


def reversal_of(adjustment: Adjustment) -> Adjustment | None:
    """The adjustment that undoes this one, posted or waiting."""
    live = [AdjustmentState.WAITING, AdjustmentState.POSTED]
    found: Adjustment | None = Adjustment.objects.filter(
        reverses=adjustment, state__in=live
    ).first()
    return found


def has_adjustments() -> bool:
    """Whether there ever was one."""
    return Adjustment.objects.exists()


def page_adjustments(
    filters: AdjustmentFilters, *, after: str = "", before: str = "", size: int = PAGE_SIZE
) -> keyset.Page[Adjustment]:
    """One page, newest first. One query. Raises BadCursor."""
    rows = _adjustments()
    if filters.state == "stopped":
        rows = rows.filter(state__in=[AdjustmentState.REJECTED, AdjustmentState.CANCELLED])
    elif filters.state:
        rows = rows.filter(state=filters.state)
    if filters.reason:
        rows = rows.filter(reason=filters.reason)
    return keyset.page(rows, at="created_at", after=after, before=before, size=size)
