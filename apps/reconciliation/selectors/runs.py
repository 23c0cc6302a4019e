"""Reading runs and differences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final

from django.db.models import Case, Count, F, Q, QuerySet, Sum, When, Window
from django.db.models.functions import RowNumber

from apps.platforms.gateway import StatementKind
from apps.reconciliation.models import (
    AccountRule,
    Difference,
    DifferenceState,
    DifferenceType,
    ReconciliationRun,
)
from apps.statements.models import AWAITED, StatementDay
from apps.statements.months import month_after
from apps.statements.selectors import list_days, next_tries
from apps.statements.wording import detail_words

#: Rows of each type on a run's page, and on the page of one type.
FIRST_ROWS = 20
PAGE_SIZE = 50


@dataclass(frozen=True, slots=True)
class DayRow:
    """One account's day: its bill, its run if there is one, and how many differences still need somebody."""

    expected: StatementDay
    run: ReconciliationRun | None
    open_count: int
    next_try: datetime | None

    @property
    def state(self) -> str:
        """``balanced`` or ``has_differences`` once matched, else the state of the bill."""
        if self.run is None:
            return str(self.expected.state)
        return "has_differences" if self.open_count else "balanced"

    @property
    def matched_net_minor(self) -> int:
        """Payments − refunds that match, in fen."""
        return self.run.matched_payment_minor - self.run.matched_refund_minor if self.run else 0

    @property
    def gap_minor(self) -> int:
        """Bill − books, in fen."""
        return self.run.their_net_minor - self.run.our_net_minor if self.run else 0

    @property
    def can_fetch(self) -> bool:
        """Whether the bill is still missing."""
        return self.expected.state in AWAITED

    @property
    def detail(self) -> str:
        """What stands in the bill's way, in the reader's words."""
        return detail_words(self.expected.account.platform, self.expected.detail)


def list_month(*, month: date, account_id: int | None = None, show: str = "") -> list[DayRow]:
    """The days of one month, newest first. ``show``: ``open`` (differences to look at), ``waiting`` (no bill yet)."""
    until = month_after(month)
    days = list_days(since=month, until=until)
    runs = ReconciliationRun.objects.filter(is_current=True, day__gte=month, day__lt=until)
    if account_id is not None:
        days = days.filter(account_id=account_id)
        runs = runs.filter(account_id=account_id)
    expected = list(days)
    by_place = {(run.account_id, run.day): run for run in runs}
    open_counts = _open_counts([run.pk for run in by_place.values()])
    missing = [row for row in expected if row.state in AWAITED]
    tries = next_tries(missing) if missing else {}
    rows = []
    for row in expected:
        run = by_place.get((row.account_id, row.day))
        count = open_counts.get(run.pk, 0) if run else 0
        rows.append(DayRow(row, run, count, tries.get(row.pk)))
    if show == "open":
        return [row for row in rows if row.open_count]
    if show == "waiting":
        return [row for row in rows if row.can_fetch]
    return rows


def _open_counts(run_ids: list[int]) -> Mapping[int, int]:
    rows = Difference.objects.filter(run_id__in=run_ids, state=DifferenceState.OPEN)
    counted = rows.order_by().values("run_id").annotate(count=Count("pk"))
    return {row["run_id"]: row["count"] for row in counted}


def get_run(run_id: int) -> ReconciliationRun:
    """One run with its account and bill (without the file). Raises ReconciliationRun.DoesNotExist."""
    rows = ReconciliationRun.objects.select_related("account", "statement", "run_by")
    return rows.defer("account__credentials_sealed").get(pk=run_id)


def current_run(*, account_id: int, day: date) -> ReconciliationRun | None:
    """The run that counts for one account's day."""
    return ReconciliationRun.objects.filter(account_id=account_id, day=day, is_current=True).first()


def expected_day(run: ReconciliationRun) -> StatementDay | None:
    """The row that follows the bill of a run."""
    return StatementDay.objects.filter(
        account_id=run.account_id, day=run.day, kind=StatementKind.TRADE.value
    ).first()


@dataclass(frozen=True, slots=True)
class DifferenceFilter:
    """Which differences: of a type, in a state, first seen before a moment; None where it does not matter."""

    type: DifferenceType | None = None
    state: DifferenceState | None = None
    seen_before: datetime | None = None

    @property
    def is_narrow(self) -> bool:
        """Whether it leaves anything out but by type."""
        return self.state is not None or self.seen_before is not None

    def of(self, run: ReconciliationRun) -> QuerySet[Difference]:
        """The run's differences that it lets through."""
        rows = Difference.objects.filter(run=run)
        if self.type is not None:
            rows = rows.filter(type=self.type)
        if self.state is not None:
            rows = rows.filter(state=self.state)
        if self.seen_before is not None:
            rows = rows.filter(first_seen_at__lt=self.seen_before)
        return rows


_EVERY: Final = DifferenceFilter()


@dataclass(frozen=True, slots=True)
class TypeSum:
    """All differences of one type in a run."""

    type: DifferenceType
    count: int
    open_count: int
    #: What they add to bill − books, in fen: before and after fees.
    gap_minor: int
    net_gap_minor: int


def sum_types(run: ReconciliationRun, chosen: DifferenceFilter = _EVERY) -> list[TypeSum]:
    """The differences of a run by type, in the order of the types."""
    counted = (
        chosen.of(run)
        .order_by()
        .values("type")
        .annotate(
            count=Count("pk"),
            open_count=Count("pk", filter=Q(state=DifferenceState.OPEN)),
            gap=Sum("gap_minor"),
            net_gap=Sum("net_gap_minor"),
        )
    )
    by_type = {row["type"]: row for row in counted}
    return [
        TypeSum(kind, row["count"], row["open_count"], int(row["gap"]), int(row["net_gap"]))
        for kind in DifferenceType
        if (row := by_type.get(kind.value))
    ]


def _with_both_sides(rows: QuerySet[Difference]) -> QuerySet[Difference]:
    return rows.select_related(
        "line",
        "payment",
        "refund__payment",
        "assigned_to",
        "resolution__member",
        "resolution__rule",
        "resolution__adjustment",
    )


def first_differences(
    run: ReconciliationRun, chosen: DifferenceFilter = _EVERY
) -> Mapping[str, list[Difference]]:
    """The first rows of each type, in one query: open ones first."""
    open_first = Case(When(state=DifferenceState.OPEN, then=0), default=1)
    place = Window(RowNumber(), partition_by=F("type"), order_by=[open_first, F("pk").asc()])
    found: dict[str, list[Difference]] = {}
    rows = _with_both_sides(chosen.of(run)).annotate(place=place).filter(place__lte=FIRST_ROWS)
    for row in sorted(rows, key=lambda row: row.place):
        found.setdefault(row.type, []).append(row)
    return found


@dataclass(frozen=True, slots=True)
class DifferencePage:
    """One page of differences, and the ids after which its neighbours begin (None: none)."""

    rows: list[Difference] = field(default_factory=list)
    newer: int | None = None
    older: int | None = None


def page_differences(
    run: ReconciliationRun,
    chosen: DifferenceFilter,
    *,
    after: int | None = None,
    before: int | None = None,
    size: int = PAGE_SIZE,
) -> DifferencePage:
    """The page of the chosen rows after (or before) a row, by keyset on the id."""
    rows = _with_both_sides(chosen.of(run))
    backwards = before is not None
    if before is not None:
        rows = rows.filter(pk__lt=before).order_by("-pk")
    else:
        rows = (rows.filter(pk__gt=after) if after is not None else rows).order_by("pk")
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


def account_rules() -> Mapping[int, AccountRule]:
    """What accounts allow matching to do, by account; those without a row go by their platform's rules."""
    return {row.account_id: row for row in AccountRule.objects.all()}
