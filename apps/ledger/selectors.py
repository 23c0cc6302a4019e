"""Reading the books."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from django.db.models import Count, Q, Sum

from apps.ledger.models import Account, JournalEntry, Posting


@dataclass(frozen=True, slots=True)
class Balance:
    """An account and the sum of its postings, in fen; debit is positive."""

    account: Account
    amount_minor: int


def trial_balance(*, until: date | None = None) -> list[Balance]:
    """Every account's balance, by code, over entries booked before ``until`` (None: all). Sums to zero."""
    postings = Posting.objects.all()
    if until is not None:
        booked = JournalEntry.objects.filter(booked_date__lt=until).values("pk")
        postings = postings.filter(entry_id__in=booked)
    sums = dict(
        postings.order_by()
        .values("account_id")
        .annotate(total=Sum("amount_minor"))
        .values_list("account_id", "total")
    )
    return [
        Balance(account, int(sums.get(account.pk, 0)))
        for account in Account.objects.order_by("code")
    ]


def first_unbalanced() -> str:
    """The first entry whose postings do not balance, in words with the fen over; "" unless something went badly wrong."""
    totals = JournalEntry.objects.annotate(
        sides=Count("postings"), total=Sum("postings__amount_minor")
    )
    bad = totals.filter(Q(sides__lt=2) | ~Q(total=0)).order_by("pk").first()
    return "" if bad is None else f"journal entry {bad.pk}, {bad.total or 0} fen over"
