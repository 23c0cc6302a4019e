"""The day so far: takings beside the same weekday a week ago, and what waits for somebody."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, Final

from django.db.models import Case, Count, Q, QuerySet, Sum, Value, When
from django.db.models.functions import ExtractHour

from apps.accounts.models import User
from apps.approvals.selectors import waiting_for
from apps.core import clock, sql
from apps.payments.models import Payment, PaymentState
from apps.platforms.models import PlatformAccount
from apps.platforms.selectors.agreements import Ending, endings
from apps.qrcodes.models import CodeState, QRCode
from apps.qrcodes.selectors import alerts_open
from apps.reconciliation.models import Difference, DifferenceState
from apps.refunds.models import Refund, RefundState
from apps.refunds.selectors import requests_open
from apps.reports.models import Transaction, TransactionKind
from apps.risk.selectors import holds_asked, risks_open
from apps.statements.models import BalanceWatch
from apps.statements.selectors.reserve import low_balances

WEEK: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Takings:
    """Paid and given back, in fen; ``refund_minor`` is positive."""

    payment_count: int = 0
    payment_minor: int = 0
    refund_count: int = 0
    refund_minor: int = 0

    @property
    def net_minor(self) -> int:
        """Paid less given back."""
        return self.payment_minor - self.refund_minor

    @property
    def average_minor(self) -> int:
        """What a payment came to on average, rounded down; 0 without any."""
        return self.payment_minor // self.payment_count if self.payment_count else 0


@dataclass(frozen=True, slots=True)
class Share:
    """One store's or platform's part of today, beside last week's up to the same time."""

    key: Any
    today: Takings
    before: Takings


@dataclass(frozen=True, slots=True)
class Hour:
    """What was paid within one hour of the business day, today and a week ago, in fen."""

    hour: int
    today: int
    before: int
    count: int
    before_count: int


@dataclass(frozen=True, slots=True)
class Day:
    """A business day so far. ``before`` is the same weekday last week up to the same time of day."""

    day: date
    day_before: date
    today: Takings
    before: Takings
    stores: list[Share]
    platforms: list[Share]
    hours: list[Hour]

    @property
    def change_percent(self) -> int | None:
        """How much more (or less) was paid than a week ago, in whole percent; None when there is nothing to compare."""
        if not self.before.payment_minor:
            return None
        change = self.today.payment_minor - self.before.payment_minor
        return round(100 * change / self.before.payment_minor)


def _add(rows: Iterable[dict[str, Any]]) -> Takings:
    counts = {TransactionKind.PAYMENT.value: 0, TransactionKind.REFUND.value: 0}
    sums = dict(counts)
    for row in rows:
        counts[row["kind"]] += row["count"]
        sums[row["kind"]] += row["minor"]
    return Takings(
        payment_count=counts["payment"],
        payment_minor=sums["payment"],
        refund_count=counts["refund"],
        refund_minor=-sums["refund"],
    )


def _shares(rows: list[dict[str, Any]], day: date, name: str) -> list[Share]:
    shares = []
    for key in {row[name] for row in rows}:
        mine = [row for row in rows if row[name] == key]
        shares.append(
            Share(
                key,
                _add(row for row in mine if row["booked_date"] == day),
                _add(row for row in mine if row["booked_date"] != day and row["early"]),
            )
        )
    shares.sort(key=lambda share: (-share.today.payment_minor, -share.before.payment_minor))
    return shares


def _hours(rows: list[dict[str, Any]], day: date, day_starts_at: time) -> Iterator[Hour]:
    paid = [row for row in rows if row["kind"] == TransactionKind.PAYMENT]
    busy = {(row["hour"] - day_starts_at.hour) % 24 for row in paid}
    # From the first hour in which anything came in to the last, so that the night takes no room.
    for place in range(min(busy), max(busy) + 1) if busy else ():
        hour = (place + day_starts_at.hour) % 24
        now = [row for row in paid if row["hour"] == hour and row["booked_date"] == day]
        then = [row for row in paid if row["hour"] == hour and row["booked_date"] != day]
        yield Hour(
            hour,
            sum(row["minor"] for row in now),
            sum(row["minor"] for row in then),
            sum(row["count"] for row in now),
            sum(row["count"] for row in then),
        )


def day_so_far(*, now: datetime, day_starts_at: time) -> Day:
    """Today's money and last week's, by booked day, of the stores in scope; one query."""
    day = clock.business_date(now, day_starts_at)
    rows: list[dict[str, Any]] = [
        dict(row)
        for row in Transaction.objects.visible()
        .filter(booked_date__in=[day, day - WEEK])
        .exclude(effective_minor=0)
        .annotate(
            hour=ExtractHour("done_at", tzinfo=clock.CHINA),
            early=Case(When(done_at__lte=now - WEEK, then=Value(True)), default=Value(False)),
        )
        .order_by()
        .values("booked_date", "kind", "store_id", "account_id", "hour", "early")
        .annotate(count=Count("key"), minor=Sum("effective_minor"))
    ]
    platforms = dict(PlatformAccount.objects.values_list("pk", "platform"))
    for row in rows:
        row["platform"] = platforms.get(row["account_id"], "")
    return Day(
        day,
        day - WEEK,
        _add(row for row in rows if row["booked_date"] == day),
        _add(row for row in rows if row["booked_date"] != day and row["early"]),
        _shares(rows, day, "store_id"),
        _shares(rows, day, "platform"),
        list(_hours(rows, day, day_starts_at)),
    )


@dataclass(frozen=True, slots=True)
class FirstRun:
    """How far a new merchant has come: a platform, a code, a payment."""

    platform: bool
    code: bool
    payment: bool

    @property
    def done(self) -> bool:
        """Whether all three are there."""
        return self.platform and self.code and self.payment


def first_run() -> FirstRun:
    """The first three steps. One query where money has come in already."""
    # Its number at the platform comes with success, and that has an index.
    if Payment.objects.filter(platform_trade_no__gt="", state=PaymentState.SUCCEEDED).exists():
        return FirstRun(True, True, True)
    return FirstRun(
        PlatformAccount.objects.filter(is_active=True).exists(),
        QRCode.objects.exclude(state=CodeState.RETIRED).exists(),
        False,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What waits for this member. None where the member has nothing to do with it."""

    approvals: int = 0
    refunds: int = 0
    #: Customers who ask for money back on their receipt.
    customers: int = 0
    differences: int = 0
    #: Alerts about odd use of codes.
    alerts: int = 0
    #: Open alerts of risk rules.
    risk_alerts: int = 0
    #: Customers whose payment is held until a member answers.
    holds: int = 0
    accounts: tuple[PlatformAccount, ...] = ()
    endings: tuple[Ending, ...] = ()
    #: Accounts whose balance does not suffice for refunds.
    balances: tuple[BalanceWatch, ...] = ()

    @property
    def any(self) -> bool:
        """Whether anything waits."""
        return bool(
            self.approvals
            or self.refunds
            or self.customers
            or self.differences
            or self.alerts
            or self.risk_alerts
            or self.holds
            or self.accounts
            or self.endings
            or self.balances
        )


def what_needs(*, member: User, permissions: frozenset[str], today: date, now: datetime) -> Needs:
    """What the member could do something about now, by permission; all that is only counted by one statement."""
    asked: dict[str, tuple[str, QuerySet[Any]]] = {
        "approvals": (
            "refunds.approve",
            waiting_for(member=member, permissions=permissions, now=now),
        ),
        "refunds": (
            "refunds.request",
            Refund.objects.visible().filter(state__in=[RefundState.QUEUED, RefundState.ABNORMAL]),
        ),
        "customers": ("refunds.request", requests_open()),
        "differences": (
            "reconciliation.view",
            Difference.objects.filter(state=DifferenceState.OPEN, run__is_current=True),
        ),
        "alerts": ("codes.manage", alerts_open()),
        "risk_alerts": ("risk.view", risks_open()),
        "holds": ("risk.manage", holds_asked(now)),
    }
    mine = {name: rows for name, (permission, rows) in asked.items() if permission in permissions}
    return Needs(
        **dict(zip(mine, sql.counts(*mine.values()), strict=True)),
        accounts=tuple(
            PlatformAccount.objects.filter(Q(is_active=False) | ~Q(check_state__in=["", "good"]))
        )
        if "platforms.view" in permissions
        else (),
        endings=tuple(endings(today=today)) if "platforms.manage" in permissions else (),
        balances=tuple(low_balances()) if "reconciliation.view" in permissions else (),
    )
