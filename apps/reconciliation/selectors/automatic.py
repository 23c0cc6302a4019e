"""Rules that settle differences by themselves: which fit, and what one would have done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from django.db.models import BigIntegerField, Count, F, Q, QuerySet, Sum, Value
from django.db.models.functions import Abs, Coalesce, Greatest

from apps.reconciliation.models import (
    AutoRule,
    Difference,
    DifferenceState,
    ResolutionKind,
)
from apps.reconciliation.selectors.differences import with_both_sides
from apps.reconciliation.selectors.offers import (
    ACCEPTED_BY_BOOKING,
    CHOICES,
    write_off_limit,
)

#: Rows that a rehearsal lists; it counts all.
SHOWN: Final = 100


def _size(field: str) -> Coalesce:
    return Coalesce(Abs(F(field)), Value(0), output_field=BigIntegerField())


def fitting(rule: AutoRule, rows: QuerySet[Difference], *, now: datetime) -> QuerySet[Difference]:
    """Those of the rows that a rule may act on. Of a write-off also the merchant's limit holds."""
    types = [kind for kind, choices in CHOICES.items() if rule.action in choices]
    rows = rows.filter(type__in=types).annotate(
        size=Greatest(_size("their_minor"), _size("our_minor")), apart=Abs(F("net_gap_minor"))
    )
    if rule.type:
        rows = rows.filter(type=rule.type)
    if rule.account_id is not None:
        rows = rows.filter(run__account_id=rule.account_id)
    if rule.platform:
        rows = rows.filter(run__account__platform=rule.platform)
    if rule.min_amount_minor is not None:
        rows = rows.filter(size__gte=rule.min_amount_minor)
    if rule.max_amount_minor is not None:
        rows = rows.filter(size__lte=rule.max_amount_minor)
    if rule.max_gap_minor is not None:
        rows = rows.filter(apart__lte=rule.max_gap_minor)
    if rule.min_age_days:
        rows = rows.filter(first_seen_at__lte=now - timedelta(days=rule.min_age_days))
    if rule.action == ResolutionKind.WRITE_OFF:
        rows = rows.filter(apart__gt=0, apart__lte=write_off_limit().limit_minor)
    if rule.action == ResolutionKind.ACCEPT:
        rows = rows.exclude(type__in=ACCEPTED_BY_BOOKING, apart=0)
    return rows


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a rule would have settled of past days: ``hits`` of ``total``, ``apart_minor`` fen in all, and the first rows."""

    since: date
    until: date
    total: int
    hits: int
    apart_minor: int
    rows: Sequence[Difference]


def rehearse(rule: AutoRule, *, since: date, until: date, now: datetime) -> Rehearsal:
    """Try a rule, saved or not, on the differences of past days that needed somebody, settled meanwhile or not.

    ``until`` is the first day that no longer counts. Three queries and none that writes.
    """
    rows = Difference.objects.filter(
        run__is_current=True, run__day__gte=since, run__day__lt=until
    ).exclude(state=DifferenceState.EXPLAINED)
    hits = fitting(rule, rows, now=now)
    sums = hits.order_by().aggregate(count=Count("pk"), apart=Sum(Abs(F("net_gap_minor"))))
    return Rehearsal(
        since=since,
        until=until,
        total=rows.count(),
        hits=sums["count"],
        apart_minor=int(sums["apart"] or 0),
        rows=list(with_both_sides(hits).order_by("-run__day", "pk")[:SHOWN]),
    )


def list_rules() -> list[AutoRule]:
    """All rules in the order in which they are tried."""
    rows = AutoRule.objects.select_related("account", "created_by").order_by("position", "pk")
    return list(rows.defer("account__credentials_sealed"))


def rules_for(*, account_id: int, platform: str, day: date) -> list[AutoRule]:
    """The rules in force for an account's day, in their order."""
    return list(
        AutoRule.objects.filter(
            Q(account__isnull=True) | Q(account_id=account_id),
            platform__in=["", platform],
            is_on=True,
            effective_from__lte=day,
        ).order_by("position", "pk")
    )


def get_rule(rule_id: int) -> AutoRule:
    """One rule. Raises AutoRule.DoesNotExist."""
    rows = AutoRule.objects.select_related("account", "created_by")
    return rows.defer("account__credentials_sealed").get(pk=rule_id)
