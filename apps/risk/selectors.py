"""Reading rules, alerts, what is held, and the assessment of risks."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from django.db.models import Count, Q, QuerySet

from apps.accounts.models import User
from apps.core import keyset
from apps.core.tenancy import ScopedQuerySet, current_merchant_id
from apps.merchants.models import Membership
from apps.risk.models import (
    OPEN_ALERTS,
    AlertState,
    Asked,
    DraftState,
    HoldState,
    RiskAlert,
    RiskDraft,
    RiskFeedback,
    RiskHold,
    RiskReview,
    RiskRuleBook,
)
from apps.risk.rules import RuleKind, Rules, Subject, read_rules

PAGE_SIZE: Final = 50


@dataclass(frozen=True, slots=True)
class Book:
    """Rules as they hold on a day. ``version`` 0: the portal's own, in force until a merchant writes some."""

    version: int
    rules: Rules
    effective_from: date | None = None
    row: RiskRuleBook | None = None


def book_on(day: date) -> Book:
    """The rules in force on a day. One query."""
    row = RiskRuleBook.objects.filter(effective_from__lte=day).order_by("-version").first()
    if row is None:
        return Book(0, read_rules({}))
    return Book(row.version, read_rules(row.rules), row.effective_from, row)


def latest_version() -> int:
    """The highest version there is, in force or to come; 0 without any."""
    row = RiskRuleBook.objects.order_by("-version").values_list("version", flat=True).first()
    return row or 0


def latest_book() -> Book:
    """The newest version, in force or to come: what a change begins with. One query."""
    return book_on(date.max)


def books() -> QuerySet[RiskRuleBook]:
    """All versions, newest first, with their writers."""
    return RiskRuleBook.objects.select_related("created_by").order_by("-version")


def waiting_draft() -> RiskDraft | None:
    """The change that waits for confirmation, if any."""
    return RiskDraft.objects.select_related("requested_by").filter(state=DraftState.WAITING).first()


@dataclass(frozen=True, slots=True)
class AlertFilters:
    """Which alerts to list: ``state`` "" is what waits, "all" everything."""

    state: str = ""
    rule: str = ""
    store_id: int | None = None


def alerts_matching(filters: AlertFilters) -> ScopedQuerySet[RiskAlert]:
    """The alerts that pass, of the stores in scope."""
    rows = RiskAlert.objects.visible().select_related("store", "code__scenario", "handled_by")
    if filters.state == "":
        rows = rows.filter(state__in=OPEN_ALERTS)
    elif filters.state != "all":
        rows = rows.filter(state=filters.state)
    if filters.rule:
        rows = rows.filter(rule=filters.rule)
    if filters.store_id is not None:
        rows = rows.filter(store_id=filters.store_id)
    return rows


def page_alerts(
    filters: AlertFilters, *, after: str = "", before: str = ""
) -> keyset.Page[RiskAlert]:
    """A page of them, newest first. One query. Raises BadCursor."""
    return keyset.page(
        alerts_matching(filters), at="raised_at", after=after, before=before, size=PAGE_SIZE
    )


def get_alert(alert_id: int) -> RiskAlert | None:
    """An alert of the stores in scope, or None."""
    return (
        RiskAlert.objects.visible()
        .select_related("store", "code__scenario", "handled_by")
        .filter(pk=alert_id)
        .first()
    )


def risks_open() -> ScopedQuerySet[RiskAlert]:
    """The alerts that wait for somebody, of the stores in scope."""
    return RiskAlert.objects.visible().filter(state__in=OPEN_ALERTS)


def holds_asked(now: datetime) -> ScopedQuerySet[RiskHold]:
    """What a member must answer before it goes on, of the stores in scope."""
    return RiskHold.objects.visible().filter(
        state=HoldState.ASKED, asked=Asked.MEMBER, expires_at__gt=now
    )


def has_alerts() -> bool:
    """Whether there has ever been one, of the stores in scope."""
    return RiskAlert.objects.visible().exists()


def feedback_on(alert: RiskAlert) -> list[RiskFeedback]:
    """What members said of an alert, in order."""
    return list(RiskFeedback.objects.select_related("member").filter(alert=alert).order_by("pk"))


def member_names(alerts: Collection[RiskAlert]) -> dict[str, str]:
    """The names of the cashiers that alerts are about, by the alerts' subject; no query where none is."""
    wanted = [int(one.subject) for one in alerts if one.subject_kind == Subject.MEMBER]
    if not wanted:
        return {}
    members = Membership.objects.select_related("user").filter(
        merchant_id=current_merchant_id(), user_id__in=wanted
    )
    return {str(one.user_id): one.user.display_name for one in members}


#: How long it stays on the list that nobody answered.
MISSED: Final = timedelta(days=7)


def list_holds(*, now: datetime) -> tuple[list[RiskHold], list[RiskHold]]:
    """What a member must answer now, the oldest first; and what nobody answered within the last week, the latest first.

    Of the stores in scope; one query.
    """
    rows = list(
        RiskHold.objects.visible()
        .select_related("store", "alert")
        .filter(state=HoldState.ASKED, asked=Asked.MEMBER, expires_at__gt=now - MISSED)
        # Those that still wait end last, so the limit never cuts them off first.
        .order_by("-expires_at", "-pk")[:PAGE_SIZE]
    )
    waiting = [row for row in rows if row.expires_at > now]
    waiting.sort(key=lambda row: (row.created_at, row.pk))
    return waiting, [row for row in rows if row.expires_at <= now]


def get_hold(hold_id: int) -> RiskHold | None:
    """A held thing of the stores in scope, or None."""
    return RiskHold.objects.visible().filter(pk=hold_id).first()


def hold_of(*, kind: str, subject_id: int) -> RiskHold | None:
    """The hold on a thing, whoever asks; None where it was never held."""
    return RiskHold.objects.filter(kind=kind, subject_id=subject_id).first()


@dataclass(frozen=True, slots=True)
class Quality:
    """How good a rule's alerts were: all of them, and those called false alarms."""

    alerts: int
    false_alarms: int


def rule_quality(*, since: datetime) -> dict[RuleKind, Quality]:
    """Each rule's alerts raised since then. One query."""
    rows = (
        RiskAlert.objects.filter(raised_at__gte=since)
        .order_by()
        .values("rule")
        .annotate(all=Count("pk"), wrong=Count("pk", filter=Q(state=AlertState.FALSE_ALARM)))
    )
    return {RuleKind(row["rule"]): Quality(row["all"], row["wrong"]) for row in rows}


def current_reviews() -> list[RiskReview]:
    """How each risk stands, those to be looked at first on top. One query."""
    rows = (
        RiskReview.objects.select_related("owner", "reviewed_by")
        .order_by("number", "-version")
        .distinct("number")
    )
    return sorted(
        (row for row in rows if not row.is_gone),
        key=lambda row: (row.next_review_date, -row.likelihood * row.harm, row.number),
    )


def get_review(review_id: int) -> RiskReview | None:
    """The latest look at the risk that this look is of, or None."""
    number = RiskReview.objects.filter(pk=review_id).values("number")
    return RiskReview.objects.filter(number__in=number).order_by("-version").first()


def review_history(number: int) -> Sequence[RiskReview]:
    """All looks at one risk, newest first."""
    return list(
        RiskReview.objects.select_related("owner", "reviewed_by")
        .filter(number=number)
        .order_by("-version")
    )


def count_due_reviews(*, today: date) -> int:
    """How many risks are past the day of their next review."""
    return sum(row.next_review_date <= today for row in current_reviews())


def possible_owners() -> list[User]:
    """The active members who may be made responsible for a risk."""
    members = (
        Membership.objects.select_related("user")
        .filter(merchant_id=current_merchant_id(), is_active=True, user__is_active=True)
        .order_by("pk")
    )
    return [member.user for member in members]
