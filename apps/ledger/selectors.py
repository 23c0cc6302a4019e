"""Reading the books."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from django.db.models import Q, Sum

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


def unbalanced_entries(*, limit: int = 100) -> list[int]:
    """Ids of entries whose visible postings do not sum to zero; empty unless something went badly wrong."""
    bad = (
        JournalEntry.objects.annotate(total=Sum("postings__amount_minor"))
        .filter(Q(total__isnull=True) | ~Q(total=0))
        .order_by("pk")
    )
    return list(bad.values_list("pk", flat=True)[:limit])
