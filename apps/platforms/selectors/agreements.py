"""Reads of agreements: the version in force, the fees of a day, papers, ticks, what ends soon."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from django.db.models import Q

from apps.platforms.fees import FeeBook, FeeRule
from apps.platforms.models import (
    Agreement,
    AgreementDocument,
    AgreementWithdrawal,
    ChecklistTick,
    FeeTier,
    PlatformAccount,
)

#: How many days before its end an agreement is spoken of.
SOON_DAYS: Final = 60
WHOLE_BACK: Final = 1_000_000


def in_force(versions: Iterable[Agreement], day: date) -> Agreement | None:
    """Of one account's versions the one in force on a day, None where there is none or it has ended."""
    begun = [row for row in versions if row.effective_from <= day]
    latest = max(begun, key=lambda row: (row.effective_from, row.version), default=None)
    return latest if latest is not None and latest.holds_on(day) else None


def spans(versions: Iterable[Agreement]) -> list[tuple[Agreement, date, date]]:
    """Each version of one account with the days ``[from, until)`` in which it is in force; those without any are left out."""
    rows = sorted(versions, key=lambda row: (row.effective_from, row.version))
    found = []
    for place, row in enumerate(rows):
        begins = max(row.effective_from, row.valid_from)
        ends = rows[place + 1].effective_from if place + 1 < len(rows) else date.max
        if row.valid_until is not None and not row.renews:
            ends = min(ends, row.valid_until + timedelta(days=1))
        if begins < ends:
            found.append((row, begins, ends))
    return found


def book_of(
    account: PlatformAccount,
    versions: Iterable[Agreement],
    tiers: Mapping[int, Sequence[FeeTier]],
) -> FeeBook:
    """The fees of one account, of its versions and their tiers (by version's id)."""
    rules = [
        rule_of(tier, from_day=begins, until_day=ends, back_ppm=row.fee_back_ppm)
        for row, begins, ends in spans(versions)
        for tier in tiers.get(row.pk, ())
    ]
    return FeeBook(rules, own_rate_ppm=account.fee_rate_ppm)


def rule_of(tier: FeeTier, *, from_day: date, until_day: date, back_ppm: int) -> FeeRule:
    """A stored tier as a rule for these days, in which refunds bring ``back_ppm`` of the fee back."""
    return FeeRule(
        rate_ppm=tier.rate_ppm,
        from_minor=tier.from_minor,
        wallet=tier.wallet,
        product=tier.product,
        cap_minor=tier.cap_minor,
        least_minor=tier.least_minor,
        rounding=tier.rounding,
        from_day=from_day,
        until_day=until_day,
        back_ppm=back_ppm,
    )


def fee_book(account: PlatformAccount) -> FeeBook:
    """The fees of an account: two queries where it has agreements, none where its own rate is all there is."""
    if not account.has_agreement:
        return FeeBook([], own_rate_ppm=account.fee_rate_ppm)
    versions = versions_of(account.pk)
    return book_of(account, versions, tiers_of([row.pk for row in versions]))


def versions_of(account_id: int) -> list[Agreement]:
    """The versions of an account's agreement that count, latest first."""
    return list(
        Agreement.objects.filter(account_id=account_id, withdrawals__isnull=True)
        .select_related("created_by")
        .order_by("-version")
    )


def withdrawn_of(account_id: int) -> list[AgreementWithdrawal]:
    """The versions of an account's agreement that were taken back before their day, latest first."""
    return list(
        AgreementWithdrawal.objects.filter(agreement__account_id=account_id)
        .select_related("agreement__created_by", "by")
        .order_by("-agreement__version")
    )


def get_agreement(agreement_id: int) -> Agreement:
    """One version with its account, withdrawn or not. Raises Agreement.DoesNotExist."""
    agreement: Agreement = Agreement.objects.select_related("account").get(pk=agreement_id)
    return agreement


def latest_version(account_id: int) -> int:
    """The highest number that a version of the account's agreement ever had, withdrawn or not; 0 without any."""
    numbers = Agreement.objects.filter(account_id=account_id).order_by("-version")
    return numbers.values_list("version", flat=True).first() or 0


def tiers_of(agreement_ids: Collection[int]) -> dict[int, list[FeeTier]]:
    """The tiers of versions, by version: general ones first, then by amount."""
    found: defaultdict[int, list[FeeTier]] = defaultdict(list)
    for tier in FeeTier.objects.filter(agreement_id__in=agreement_ids).order_by(
        "wallet", "product", "from_minor"
    ):
        found[tier.agreement_id].append(tier)
    return dict(found)


def agreement_on(account: PlatformAccount, day: date) -> Agreement | None:
    """The version in force on a day; one query where the account has agreements, else none."""
    return in_force(versions_of(account.pk), day) if account.has_agreement else None


def fee_back_ppm(account: PlatformAccount, day: date) -> int:
    """The part of a fee that comes back with a refund of that day, in millionths: all of it where nothing is agreed."""
    agreement = agreement_on(account, day)
    return WHOLE_BACK if agreement is None else agreement.fee_back_ppm


def refund_window_on(account: PlatformAccount, day: date) -> int | None:
    """Up to how many days after its payment a refund of that day may come, by the agreement; None where it says nothing."""
    agreement = agreement_on(account, day)
    return None if agreement is None else agreement.refund_window_days


def versions_by_account(account_ids: Collection[int]) -> dict[int, list[Agreement]]:
    """The versions of many accounts that count; one query."""
    found: defaultdict[int, list[Agreement]] = defaultdict(list)
    rows = Agreement.objects.filter(account_id__in=account_ids, withdrawals__isnull=True)
    for row in rows.order_by("-version"):
        found[row.account_id].append(row)
    return dict(found)


@dataclass(frozen=True, slots=True)
class Ending:
    """An account whose agreement ends, or renews, within a while; ``days`` is negative once it has ended."""

    account: PlatformAccount
    agreement: Agreement
    until: date
    days: int


def next_end(agreement: Agreement, today: date) -> date | None:
    """The last day of a version, or of its present term where it renews: the same day of a later year. None without an end."""
    if agreement.valid_until is None:
        return None
    end = agreement.valid_until
    while agreement.renews and end < today:
        end = _year_later(agreement.valid_until, end.year + 1)
    return end


def _year_later(first: date, year: int) -> date:
    try:
        return first.replace(year=year)
    except ValueError:
        return date(year, 2, 28)  # of a leap day


def current_of(versions: Sequence[Agreement], today: date) -> Agreement | None:
    """The version that is in force, else the one that ended last, else the first to come."""
    begun = [row for row in versions if row.effective_from <= today]
    latest = max(begun, key=lambda row: (row.effective_from, row.version), default=None)
    return latest or min(versions, key=lambda row: (row.effective_from, -row.version), default=None)


def endings(*, today: date, within: int = SOON_DAYS) -> list[Ending]:
    """The active accounts whose agreement ends or renews within so many days, or has ended; soonest first. Two queries at most."""
    accounts = {
        row.pk: row for row in PlatformAccount.objects.filter(is_active=True, has_agreement=True)
    }
    found = []
    for pk, versions in (versions_by_account(accounts) if accounts else {}).items():
        agreement = current_of(versions, today)
        until = next_end(agreement, today) if agreement is not None else None
        if agreement is None or until is None:
            continue
        days = (until - today).days
        if days <= within:
            found.append(Ending(accounts[pk], agreement, until, days))
    return sorted(found, key=lambda one: (one.until, one.account.pk))


def documents_of(account_id: int) -> list[AgreementDocument]:
    """The papers of an account, latest first."""
    return list(
        AgreementDocument.objects.filter(account_id=account_id)
        .select_related("created_by")
        .order_by("-created_at", "-pk")
    )


def get_document(document_id: int) -> AgreementDocument:
    """One paper with its account. Raises AgreementDocument.DoesNotExist."""
    document: AgreementDocument = AgreementDocument.objects.select_related("account").get(
        pk=document_id
    )
    return document


def ticks_of(*, platform: str, account: PlatformAccount | None) -> dict[str, ChecklistTick]:
    """The latest word on each item, by item: an account's own, else what was ticked at its platform before it was connected."""
    rows = ChecklistTick.objects.filter(platform=platform).select_related("by")
    if account is None:
        rows = rows.filter(account__isnull=True)
    else:
        rows = rows.filter(Q(account=account) | Q(account__isnull=True, at__lt=account.created_at))
    # An account's own words come after those of before it.
    return {row.item: row for row in rows.order_by("pk")}
