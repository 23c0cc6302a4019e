"""Differences that need somebody, across days and accounts, and the whole story of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db.models import Count, Q, QuerySet, Sum

from apps.accounts.models import User
from apps.approvals.selectors import members_who_may
from apps.reconciliation.models import (
    Difference,
    DifferenceState,
    DifferenceType,
    ReconciliationRun,
    Resolution,
    ResolutionKind,
)
from apps.reconciliation.selectors.carried import REST
from apps.reconciliation.selectors.runs import PAGE_SIZE, DifferencePage

#: Those who have no owner, as a filter's value.
NOBODY: Final = 0
#: Who holds it may settle differences and be given one.
MANAGE: Final = "reconciliation.manage"


@dataclass(frozen=True, slots=True)
class OpenFilter:
    """Which open differences; None and "" narrow nothing. ``owner_id``: a user's, or ``NOBODY`` for those of nobody."""

    type: str = ""
    account_id: int | None = None
    owner_id: int | None = None
    seen_before: datetime | None = None

    def rows(self) -> QuerySet[Difference]:
        """The open differences of current runs that it lets through."""
        rows = Difference.objects.filter(state=DifferenceState.OPEN, run__is_current=True)
        if self.type:
            rows = rows.filter(type=self.type)
        if self.account_id is not None:
            rows = rows.filter(run__account_id=self.account_id)
        if self.owner_id == NOBODY:
            rows = rows.filter(assigned_to__isnull=True)
        elif self.owner_id is not None:
            rows = rows.filter(assigned_to_id=self.owner_id)
        if self.seen_before is not None:
            rows = rows.filter(first_seen_at__lt=self.seen_before)
        return rows


_EVERY: Final = OpenFilter()


@dataclass(frozen=True, slots=True)
class OpenType:
    """The open differences of one type: how many, and what they still leave between bills and books after fees, in fen."""

    type: DifferenceType
    count: int
    rest_minor: int


def is_current(difference_id: int) -> bool:
    """Whether a difference is of the run that counts for its day."""
    return Difference.objects.filter(pk=difference_id, run__is_current=True).exists()


def open_counts(chosen: OpenFilter = _EVERY) -> list[OpenType]:
    """Open differences by type, in the order of the types. One query."""
    counted = chosen.rows().order_by().values("type").annotate(count=Count("pk"), rest=Sum(REST))
    by_type = {row["type"]: row for row in counted}
    return [
        OpenType(kind, row["count"], int(row["rest"]))
        for kind in DifferenceType
        if (row := by_type.get(kind.value))
    ]


def with_both_sides(rows: QuerySet[Difference]) -> QuerySet[Difference]:
    """The rows with all that a page says of each, in one query."""
    return rows.select_related(
        "run__account",
        "line",
        "payment",
        "refund__payment",
        "assigned_to",
        "resolution__member",
        "resolution__rule",
    ).defer("run__account__credentials_sealed")


def open_differences(
    chosen: OpenFilter = _EVERY,
    *,
    after: int | None = None,
    before: int | None = None,
    size: int = PAGE_SIZE,
) -> DifferencePage:
    """A page of the differences that need somebody, the latest found first, by keyset on the id. One query."""
    rows = with_both_sides(chosen.rows())
    backwards = before is not None
    if before is not None:
        rows = rows.filter(pk__gt=before).order_by("pk")
    else:
        rows = (rows.filter(pk__lt=after) if after is not None else rows).order_by("-pk")
    found = list(rows[: size + 1])
    more, found = len(found) > size, found[:size]
    if backwards:
        found.reverse()
    if not found:
        return DifferencePage()
    has_newer = more if backwards else after is not None
    has_older = True if backwards else more
    return DifferencePage(
        rows=found,
        newer=found[0].pk if has_newer else None,
        older=found[-1].pk if has_older else None,
    )


def get_difference(difference_id: int) -> Difference:
    """One difference with both sides. Raises Difference.DoesNotExist."""
    return with_both_sides(Difference.objects.all()).get(pk=difference_id)


def get_resolution(resolution_id: int) -> Resolution:
    """One act on a difference. Raises Resolution.DoesNotExist."""
    found: Resolution = Resolution.objects.get(pk=resolution_id)
    return found


def history_of(difference: Difference) -> list[Resolution]:
    """Everything that was done and said about it, whichever run found it, oldest first."""
    if difference.identity is None:
        return []
    place = Resolution.objects.filter(account_id=difference.run.account_id, day=difference.run.day)
    same = Q(identity=difference.identity)
    # What was accepted and taken back is another difference now, between the row and what it became.
    if difference.refund_id is not None:
        became = place.filter(kind=ResolutionKind.ACCEPT, refund_id=difference.refund_id)
        same |= Q(identity__in=became.values("identity"))
    elif difference.payment_id is not None:
        became = place.filter(kind=ResolutionKind.ACCEPT, payment_id=difference.payment_id)
        same |= Q(identity__in=became.values("identity"))
    return list(
        place.filter(same)
        .select_related(
            "member",
            "rule",
            "assignee",
            "undone_by",
            "adjustment",
            "undo_adjustment",
            "payment",
            "refund__payment",
        )
        .order_by("pk")
    )


def successor_of(difference: Difference) -> Difference | None:
    """The same thing in the run that counts now; None where that run no longer has it."""
    if difference.run.is_current or difference.identity is None:
        return None
    return Difference.objects.filter(
        run__account_id=difference.run.account_id,
        run__day=difference.run.day,
        run__is_current=True,
        identity=difference.identity,
    ).first()


def gone_resolutions(run: ReconciliationRun, *, limit: int = 50) -> list[Resolution]:
    """What was done about things of the day that this run no longer finds, latest first: accepted, linked, or put right."""
    still = Difference.objects.filter(run=run, identity__isnull=False).values("identity")
    rows = Resolution.objects.filter(account_id=run.account_id, day=run.day)
    return list(
        rows.exclude(identity__in=still)
        .exclude(kind__in=["comment", "assign"])
        .select_related("member", "rule", "payment", "refund__payment", "adjustment")
        .order_by("-pk")[:limit]
    )


def possible_owners() -> Sequence[User]:
    """Members who may settle differences."""
    members = members_who_may(permission=MANAGE, store_id=None, besides=0)
    return [member.user for member in members]
