"""Reading settlements, payouts and bank lines."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum
from typing import Any, Final, Generic, TypeVar, cast

from django.db.models import F, Max, Min, Model, Q

from apps.core import sql
from apps.core.tenancy import ScopedQuerySet, current_merchant_id
from apps.ledger.selectors.places import decode, encode
from apps.platforms.models import PlatformAccount
from apps.statements.models import (
    BankAccount,
    BankFile,
    BankLine,
    Payout,
    Settlement,
    SettlementTerms,
    SettlementVersion,
)
from apps.statements.selectors.terms import terms_of, words_of

PAGE_SIZE: Final = 50
Row = TypeVar("Row", bound=Model)


class Place(StrEnum):
    """Where a settlement's money is."""

    ARRIVED = "arrived"
    ON_ITS_WAY = "on_its_way"
    #: Due by now, but no bank statement of that day was uploaded.
    UNSEEN = "unseen"
    OVERDUE = "overdue"
    #: By a person, below the minimum, or below zero: paid together with a later one.
    HELD = "held"
    NOTHING = "nothing"


#: In SQL, of a row ``s`` with ``running``: all that its account still owes up to its cycle day.
PLACE_SQL: Final = """
CASE WHEN s.payout_id IS NOT NULL THEN 'arrived'
     WHEN s.net_minor = 0 THEN 'nothing'
     WHEN s.held_note <> '' OR s.running < GREATEST(COALESCE(t.minimum_minor, 0), 1) THEN 'held'
     WHEN s.due_date >= %(today)s THEN 'on_its_way'
     WHEN s.due_date > %(covered)s THEN 'unseen'
     ELSE 'overdue' END
"""
#: The open settlements ``s`` of the merchant with their terms ``t``.
OPEN_SQL: Final = """
FROM (
    SELECT id, account_id, day, due_date, net_minor, held_note, payout_id,
           sum(net_minor) OVER (PARTITION BY account_id ORDER BY day, id) AS running
    FROM statements_settlement
    WHERE merchant_id = %(merchant)s AND payout_id IS NULL AND NOT is_void
) s
LEFT JOIN statements_settlementterms t ON t.merchant_id = %(merchant)s AND t.account_id = s.account_id
"""
_PLACES: Final = (
    f"SELECT s.id, {PLACE_SQL} {OPEN_SQL} WHERE s.id = ANY(%(ids)s::bigint[])"  # constants
)


def covered_until() -> date:
    """The last day that an uploaded bank statement shows; ``date.min`` where there is none."""
    found = BankFile.objects.aggregate(last=Max("last_day"))["last"]
    return found or date.min


def places_of(rows: list[Settlement], *, today: date) -> dict[int, Place]:
    """Where the money of each of these settlements is; two queries."""
    values = {
        "merchant": current_merchant_id(),
        "today": today,
        "covered": covered_until(),
        "ids": [row.pk for row in rows if row.payout_id is None],
    }
    found = {pk: Place(place) for pk, place in sql.every(_PLACES, values)}
    return {
        row.pk: Place.ARRIVED if row.payout_id is not None else found.get(row.pk, Place.NOTHING)
        for row in rows
    }


@dataclass(frozen=True, slots=True)
class SettlementFilters:
    """What the list is narrowed to; None and "" narrow nothing. ``show``: ``open``, ``arrived``, or a ``Place`` that is open."""

    account_id: int | None = None
    show: str = ""
    first: date | None = None
    last: date | None = None


@dataclass(frozen=True, slots=True)
class BankFilters:
    """What the list is narrowed to. ``show``: ``free`` (in, not linked), ``linked``, ``in``, ``out``. ``text``: part of a
    counterparty, memo or reference. ``minor``: exactly this amount, in or out."""

    bank_account_id: int | None = None
    show: str = ""
    first: date | None = None
    last: date | None = None
    text: str = ""
    minor: int | None = None


@dataclass(frozen=True)  # without slots: with them Page[Row]() fails on Python 3.11
class DayPage(Generic[Row]):
    """Some rows, newest day first; ``newer`` and ``older`` are the places of the neighbouring pages, "" where none is."""

    rows: list[Row] = field(default_factory=list)
    newer: str = ""
    older: str = ""


def _page(rows: ScopedQuerySet[Row], *, after: str, before: str, size: int) -> DayPage[Row]:
    backwards = bool(before)
    place = decode(before or after)
    if place is not None:
        day, key = place
        side = "gt" if backwards else "lt"
        # Written so that the first condition can use an index; the second cuts the ties.
        rows = rows.filter(**{f"day__{side}e": day}).filter(
            Q(**{f"day__{side}": day}) | Q(**{f"pk__{side}": key})
        )
    order = ("day", "pk") if backwards else ("-day", "-pk")
    found: list[Any] = list(rows.order_by(*order)[: size + 1])
    more, found = len(found) > size, found[:size]
    if backwards:
        found.reverse()
    if not found:
        return DayPage()
    return DayPage(
        rows=found,
        newer=encode((found[0].day, found[0].pk)) if (more if backwards else after) else "",
        older=encode((found[-1].day, found[-1].pk)) if backwards or more else "",
    )


def _between(
    rows: ScopedQuerySet[Row], first: date | None, last: date | None
) -> ScopedQuerySet[Row]:
    if first is not None:
        rows = rows.filter(day__gte=first)
    if last is not None:
        rows = rows.filter(day__lte=last)
    return rows


_OPEN_IDS: Final = f"SELECT s.id {OPEN_SQL} WHERE {PLACE_SQL} = %(place)s"  # constants


def page_settlements(
    filters: SettlementFilters,
    *,
    today: date,
    after: str = "",
    before: str = "",
    size: int = PAGE_SIZE,
) -> DayPage[Settlement]:
    """One page of settlements, newest cycle day first. Raises BadCursor."""
    rows = Settlement.objects.get_queryset().filter(is_void=False).select_related("account")
    rows = rows.defer("account__credentials_sealed")
    if filters.account_id is not None:
        rows = rows.filter(account_id=filters.account_id)
    if filters.show == Place.ARRIVED:
        rows = rows.exclude(payout=None)
    elif filters.show == "open":
        rows = rows.filter(payout=None).exclude(net_minor=0)
    elif filters.show:
        values = {
            "merchant": current_merchant_id(),
            "today": today,
            "covered": covered_until(),
            "place": filters.show,
        }
        rows = rows.filter(pk__in=[pk for (pk,) in sql.every(_OPEN_IDS, values)])
    rows = _between(rows, filters.first, filters.last)
    return _page(rows, after=after, before=before, size=size)


def get_settlement(pk: int) -> Settlement:
    """One settlement with its account; ``bill_version`` is its bill's. Raises Settlement.DoesNotExist."""
    rows = Settlement.objects.select_related("account", "payout", "held_by")
    found: Settlement = (
        rows.annotate(bill_version=F("statement__version"))
        .defer("account__credentials_sealed")
        .get(pk=pk)
    )
    return found


def versions_of(settlement: Settlement) -> list[SettlementVersion]:
    """What it was computed as, newest first, each with its bill's version as ``bill_version``."""
    rows = SettlementVersion.objects.filter(settlement=settlement)
    return list(rows.annotate(bill_version=F("statement__version")).order_by("-version"))


def page_bank_lines(
    filters: BankFilters, *, after: str = "", before: str = "", size: int = PAGE_SIZE
) -> DayPage[BankLine]:
    """One page of bank lines, newest day first. Raises BadCursor."""
    rows = BankLine.objects.get_queryset().select_related("bank_account")
    if filters.bank_account_id is not None:
        rows = rows.filter(bank_account_id=filters.bank_account_id)
    if filters.show == "free":
        rows = rows.filter(payout=None, amount_minor__gt=0)
    elif filters.show == "linked":
        rows = rows.exclude(payout=None)
    elif filters.show == "in":
        rows = rows.filter(amount_minor__gt=0)
    elif filters.show == "out":
        rows = rows.filter(amount_minor__lt=0)
    if filters.minor is not None:
        rows = rows.filter(amount_minor__in=[filters.minor, -filters.minor])
    if filters.text:
        words = filters.text
        rows = rows.filter(
            Q(counterparty__icontains=words)
            | Q(memo__icontains=words)
            | Q(reference__icontains=words)
        )
    rows = _between(rows, filters.first, filters.last)
    return _page(rows, after=after, before=before, size=size)


def get_bank_line(pk: int) -> BankLine:
    """One bank line with its account and file. Raises BankLine.DoesNotExist."""
    found: BankLine = BankLine.objects.select_related("bank_account", "file", "payout").get(pk=pk)
    return found


def list_bank_accounts() -> list[BankAccount]:
    """The merchant's bank accounts, oldest first."""
    return list(BankAccount.objects.order_by("pk"))


def get_bank_account(pk: int) -> BankAccount:
    """One bank account. Raises BankAccount.DoesNotExist."""
    found: BankAccount = BankAccount.objects.select_related("mapped_by").get(pk=pk)
    return found


def list_bank_files(*, limit: int = 20) -> list[BankFile]:
    """The statements uploaded last, newest first."""
    rows = BankFile.objects.select_related("bank_account", "uploaded_by")
    return list(rows.order_by("-uploaded_at", "-pk")[:limit])


def has_bank_lines() -> bool:
    """Whether any bank statement was uploaded."""
    return BankFile.objects.exists()


def get_payout(pk: int) -> Payout:
    """One payout with its account and people. Raises Payout.DoesNotExist."""
    rows = Payout.objects.select_related("account", "linked_by", "undone_by")
    found: Payout = rows.defer("account__credentials_sealed").get(pk=pk)
    return found


def parts_of(payout: Payout) -> tuple[list[BankLine], list[Settlement]]:
    """The bank lines and settlements of a payout, also of one that was undone."""
    lines = BankLine.objects.filter(pk__in=payout.line_ids).select_related("bank_account")
    settlements = Settlement.objects.filter(pk__in=payout.settlement_ids)
    return list(lines.order_by("day", "pk")), list(settlements.order_by("day", "pk"))


def free_settlements(*, around: date, days: int = 45, limit: int = 60) -> list[Settlement]:
    """Settlements that are not paid yet, of cycle days around a day, nearest due day first."""
    span = timedelta(days=days)
    rows = (
        Settlement.objects.filter(
            payout=None, is_void=False, day__gte=around - span, day__lte=around + span
        )
        .exclude(net_minor=0)
        .select_related("account")
        .defer("account__credentials_sealed")
    )
    found = sorted(rows, key=lambda row: (abs((row.due_date - around).days), row.day, row.pk))
    return found[:limit]


def free_lines(*, around: date, days: int = 20, limit: int = 60) -> list[BankLine]:
    """Bank lines that pay nothing yet, around a day, nearest first."""
    span = timedelta(days=days)
    rows = BankLine.objects.filter(
        payout=None, day__gte=around - span, day__lte=around + span
    ).select_related("bank_account")
    found = sorted(rows, key=lambda row: (abs((row.day - around).days), row.pk))
    return found[:limit]


def names_platform(line: BankLine, terms: SettlementTerms) -> bool:
    """Whether a bank line names the account's platform."""
    text = f"{line.counterparty} {line.memo}".lower()
    return any(word in text for word in words_of(terms))


def accounts_with_terms() -> list[tuple[PlatformAccount, SettlementTerms]]:
    """Every platform account with its terms, oldest first; two queries."""
    accounts = list(PlatformAccount.objects.order_by("pk").defer("credentials_sealed"))
    terms = terms_of(accounts)
    return [(account, terms[account.pk]) for account in accounts]


def first_bill_day(account_id: int) -> date | None:
    """The first cycle day that an account's bills tell."""
    found = Settlement.objects.filter(account_id=account_id, is_void=False).aggregate(
        first=Min("day")
    )
    return cast("date | None", found["first"])
