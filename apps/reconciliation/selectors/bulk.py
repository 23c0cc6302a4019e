"""Acts on many differences: what was chosen, and what came of each."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count, QuerySet, Sum

from apps.reconciliation.models import BulkAct, BulkRow, Difference
from apps.reconciliation.selectors.carried import REST

PAGE: int = 100


@dataclass(frozen=True, slots=True)
class ChosenSum:
    """How many were chosen, and what they leave between bills and books after fees, in fen."""

    count: int
    rest_minor: int


def get_bulk(bulk_id: int) -> BulkAct:
    """One act on many. Raises BulkAct.DoesNotExist."""
    return BulkAct.objects.select_related("requested_by", "rule", "assignee").get(pk=bulk_id)


def sum_chosen(rows: QuerySet[Difference]) -> ChosenSum:
    """The chosen rows added up. One query."""
    found = rows.order_by().aggregate(count=Count("pk"), rest=Sum(REST))
    return ChosenSum(found["count"], int(found["rest"] or 0))


@dataclass(frozen=True, slots=True)
class BulkPage:
    """Some rows of an act, and the id after which the next begin (None: none)."""

    rows: list[BulkRow]
    after: int | None


def page_bulk(bulk: BulkAct, *, after: int | None = None, size: int = PAGE) -> BulkPage:
    """Its rows in their order, by keyset on the id. One query."""
    rows = BulkRow.objects.filter(bulk=bulk).select_related(
        "difference__run__account", "difference__line", "difference__payment"
    )
    rows = rows.defer("difference__run__account__credentials_sealed")
    if after is not None:
        rows = rows.filter(pk__gt=after)
    found = list(rows.order_by("pk")[: size + 1])
    more = len(found) > size
    return BulkPage(found[:size], found[size - 1].pk if more else None)
