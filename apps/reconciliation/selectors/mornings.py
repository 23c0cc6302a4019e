"""The morning after a day: is each bill here and matched, what matches, and the few rows that need somebody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from django.db.models import Count, Exists, F, Min, OuterRef, Q, Sum
from django.db.models.functions import Abs

from apps.accounts.models import User
from apps.core import clock
from apps.core.models import Due
from apps.core.tenancy import current_merchant_id
from apps.ledger.models import BusinessDay
from apps.merchants.models import Membership, Role
from apps.merchants.roles import permissions_of
from apps.platforms.gateway import StatementKind
from apps.platforms.models import PlatformAccount
from apps.reconciliation.models import (
    Difference,
    DifferenceState,
    Morning,
    MorningMail,
    MorningReader,
    ReconciliationRun,
)
from apps.statements.models import AWAITED, FetchState, StatementDay
from apps.statements.selectors import next_tries
from apps.statements.wording import detail_words

#: Rows that the page names, and the mail; the others are behind a link.
NAMED_ROWS: Final = 10
MAILED_ROWS: Final = 5
#: Who gets the morning's mail without having said anything.
MAILED_ROLES: Final = (Role.OWNER, Role.FINANCE)
_PERMISSION: Final = "reconciliation.view"


def last_day(now: datetime) -> date:
    """The day whose bills come this morning: yesterday, as the platforms count days."""
    return clock.business_date(now) - timedelta(days=1)


@dataclass(frozen=True, slots=True)
class AccountMorning:
    """One account's part of a day. ``expected`` is None before the portal began to wait for its bill.

    ``is_pending``: it is about to be matched, perhaps once more.
    """

    account: PlatformAccount
    expected: StatementDay | None
    run: ReconciliationRun | None
    open_count: int
    open_since: datetime | None
    #: Those of them that are in the books and in no bill.
    ours_count: int
    #: Settled by a booking that another member must still confirm.
    waiting_count: int
    next_try: datetime | None
    is_pending: bool

    @property
    def is_here(self) -> bool:
        """Whether its bill was imported, or the platform said that there is none."""
        return self.expected is not None and self.expected.state not in AWAITED

    @property
    def is_settled(self) -> bool:
        """Whether the bill that counts is matched and nothing is about to be."""
        if not self.is_here or self.run is None or self.expected is None or self.is_pending:
            return False
        if self.run.statement is None:
            return self.expected.state == FetchState.EMPTY
        return bool(self.run.statement.is_current)

    @property
    def state(self) -> str:
        """``balanced`` or ``has_differences`` once matched, else the state of the bill."""
        if self.run is not None and self.is_here:
            return "has_differences" if self.open_count else "balanced"
        return str(self.expected.state if self.expected else FetchState.WAITING)

    @property
    def detail(self) -> str:
        """What stands in the bill's way, in the reader's words."""
        if self.expected is None or self.is_here:
            return ""
        return detail_words(self.account.platform, self.expected.detail)

    @property
    def rows(self) -> int:
        """Payments and refunds in the bill."""
        bill = self.run.statement if self.run else None
        return bill.payment_count + bill.refund_count if bill else 0

    @property
    def matched(self) -> int:
        """How many of them match."""
        return self.run.matched_count if self.run else 0

    @property
    def net_minor(self) -> int:
        """What the bill comes to after the fees it tells, in fen: the left side of the equation."""
        return self.run.their_net_minor - (self.run.their_fee_minor or 0) if self.run else 0


@dataclass(frozen=True, slots=True)
class DayMorning:
    """One day over all accounts. ``rows`` are the largest of its open differences."""

    day: date
    accounts: Sequence[AccountMorning]
    rows: Sequence[Difference]
    #: Open differences of the thirty-one days before, and the first of these days.
    earlier_count: int
    earlier_day: date | None
    business_day: BusinessDay | None

    @property
    def awaited(self) -> list[AccountMorning]:
        """Accounts whose bill is still to come."""
        return [one for one in self.accounts if not one.is_here]

    @property
    def matched_accounts(self) -> list[AccountMorning]:
        """Accounts that were matched."""
        return [one for one in self.accounts if one.run is not None]

    @property
    def is_settled(self) -> bool:
        """Whether every bill that is awaited is here and matched."""
        return all(one.is_settled for one in self.accounts)

    @property
    def row_count(self) -> int:
        """Payments and refunds in the bills."""
        return sum(one.rows for one in self.accounts)

    @property
    def matched_count(self) -> int:
        """How many of them match."""
        return sum(one.matched for one in self.accounts)

    @property
    def open_count(self) -> int:
        """Differences that need somebody."""
        return sum(one.open_count for one in self.accounts)

    @property
    def waiting_count(self) -> int:
        """Differences whose booking another member must still confirm."""
        return sum(one.waiting_count for one in self.accounts)

    @property
    def explained_count(self) -> int:
        """Differences that need nobody: explained, or somebody said what became of them."""
        found = sum(one.run.difference_count for one in self.accounts if one.run)
        return found - self.open_count - self.waiting_count

    @property
    def net_minor(self) -> int:
        """What the bills come to after the fees they tell, in fen."""
        return sum(one.net_minor for one in self.accounts)

    @property
    def ours_count(self) -> int:
        """Those of them that are in the books and in no bill."""
        return sum(one.ours_count for one in self.accounts)

    @property
    def is_quiet(self) -> bool:
        """Whether there is nothing to tell: no row in any bill, nothing open, nothing missing."""
        return not (self.row_count or self.open_count or self.awaited)


def _accounts(day: date, *, now: datetime) -> list[PlatformAccount]:
    """Whose bills belong to a day: those with a bill of it, and this morning each that is active."""
    has_bill = Exists(
        StatementDay.objects.filter(
            account_id=OuterRef("pk"), day=day, kind=StatementKind.TRADE.value
        )
    )
    wanted = has_bill | Q(is_active=True) if day == last_day(now) else has_bill
    rows = PlatformAccount.objects.filter(wanted).defer("credentials_sealed")
    return list(rows.order_by("priority", "pk"))


def _about_to_run(days: Sequence[StatementDay], *, now: datetime) -> set[int]:
    return set(
        Due.objects.filter(
            task="reconciliation.run",
            merchant_id=current_merchant_id(),
            subject_id__in=[row.pk for row in days],
            due_at__lte=now,
        ).values_list("subject_id", flat=True)
    )


def _open_by_run(
    runs: Sequence[ReconciliationRun],
) -> Mapping[int, tuple[int, datetime | None, int, int]]:
    """Of each run: how many are open and since when, how many of them only the books have, how many wait."""
    is_open = Q(state=DifferenceState.OPEN)
    rows = Difference.objects.filter(
        is_open | Q(state=DifferenceState.WAITING), run_id__in=[run.pk for run in runs]
    )
    counted = (
        rows.order_by()
        .values("run_id")
        .annotate(
            n=Count("pk", filter=is_open),
            since=Min("first_seen_at", filter=is_open),
            ours=Count("pk", filter=is_open & Q(line=None)),
            waiting=Count("pk", filter=~is_open),
        )
    )
    return {row["run_id"]: (row["n"], row["since"], row["ours"], row["waiting"]) for row in counted}


def _largest(runs: Sequence[ReconciliationRun]) -> list[Difference]:
    rows = Difference.objects.filter(
        run_id__in=[run.pk for run in runs], state=DifferenceState.OPEN
    ).select_related("line", "payment", "refund__payment", "run__account", "assigned_to")
    rows = rows.defer("run__account__credentials_sealed")
    return list(rows.order_by(Abs(F("net_gap_minor")).desc(), "pk")[:NAMED_ROWS])


def day_morning(*, day: date, now: datetime) -> DayMorning:
    """What the morning of ``day`` has to say; the number of queries is the same for any number of accounts."""
    accounts = _accounts(day, now=now)
    days = {
        row.account_id: row
        for row in StatementDay.objects.filter(day=day, kind=StatementKind.TRADE.value)
    }
    runs = {
        run.account_id: run
        for run in ReconciliationRun.objects.filter(day=day, is_current=True).select_related(
            "statement"
        )
    }
    missing = [row for row in days.values() if row.state in AWAITED]
    tries = next_tries(missing) if missing else {}
    pending = _about_to_run(list(days.values()), now=now) if days else set()
    found = list(runs.values())
    opened = _open_by_run(found) if found else {}
    lines = []
    for account in accounts:
        expected, run = days.get(account.pk), runs.get(account.pk)
        count, since, ours, waiting = (
            opened.get(run.pk, (0, None, 0, 0)) if run else (0, None, 0, 0)
        )
        lines.append(
            AccountMorning(
                account=account,
                expected=expected,
                run=run,
                open_count=count,
                open_since=since,
                ours_count=ours,
                waiting_count=waiting,
                next_try=tries.get(expected.pk) if expected else None,
                is_pending=expected is not None and expected.pk in pending,
            )
        )
    earlier = Difference.objects.filter(
        state=DifferenceState.OPEN,
        run__is_current=True,
        run__day__lt=day,
        run__day__gte=day - timedelta(days=31),
    ).aggregate(count=Count("pk"), first=Min("run__day"))
    return DayMorning(
        day=day,
        accounts=lines,
        rows=_largest(found) if opened else [],
        earlier_count=earlier["count"],
        earlier_day=earlier["first"],
        business_day=BusinessDay.objects.filter(day=day).first(),
    )


@dataclass(frozen=True, slots=True)
class ShortMorning:
    """A day over all accounts in three figures: rows in the matched bills, how many match, what needs somebody."""

    row_count: int
    matched_count: int
    open_count: int


def short_morning(day: date) -> ShortMorning | None:
    """The day's figures; None where nothing of it was matched yet. Two queries at most."""
    runs = ReconciliationRun.objects.filter(day=day, is_current=True).aggregate(
        count=Count("pk"),
        matched=Sum("matched_count"),
        rows=Sum(F("statement__payment_count") + F("statement__refund_count")),
    )
    if not runs["count"]:
        return None
    opened = Difference.objects.filter(
        state=DifferenceState.OPEN, run__day=day, run__is_current=True
    )
    return ShortMorning(runs["rows"] or 0, runs["matched"], opened.count())


@dataclass(frozen=True, slots=True)
class Telling:
    """Whether and when the members were told of a day, and how many mails have left."""

    morning: Morning | None
    mails: int


def told_of(day: date) -> Telling:
    """What is known of the telling of a day."""
    morning = Morning.objects.filter(day=day).annotate(
        sent=Count("mails", filter=Q(mails__sent_at__isnull=False))
    )
    found = morning.first()
    return Telling(found, found.sent if found else 0)


@dataclass(frozen=True, slots=True)
class MailWish:
    """Whether a member gets the morning's mail, in which language ("": each), and whether the member said so."""

    is_wanted: bool
    language: str
    is_said: bool


def mail_wish(member: User, *, role: str) -> MailWish:
    """What holds for one member."""
    row = MorningReader.objects.filter(user=member).first()
    if row is None:
        return MailWish(role in MAILED_ROLES, "", is_said=False)
    return MailWish(row.is_wanted, row.language, is_said=True)


def mail_readers() -> list[tuple[User, str]]:
    """The active members who may see the bills and want the mail, each with a language ("": each)."""
    said = {row.user_id: row for row in MorningReader.objects.all()}
    members = Membership.objects.select_related("user").filter(
        merchant_id=current_merchant_id(), is_active=True, user__is_active=True
    )
    readers = []
    for member in members.order_by("pk"):
        if _PERMISSION not in permissions_of(member.role, all_stores=member.store_ids is None):
            continue
        row = said.get(member.user_id)
        if row.is_wanted if row else member.role in MAILED_ROLES:
            readers.append((member.user, row.language if row else ""))
    return readers


def get_mail(mail_id: int) -> MorningMail:
    """One mail with its morning and reader. Raises MorningMail.DoesNotExist."""
    return MorningMail.objects.select_related("morning", "user").get(pk=mail_id)
