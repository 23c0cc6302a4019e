"""What the accounts hold: one source for the trial balance, the account's page, files and checks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from django.db.models import Sum

from apps.core import sql
from apps.core.tenancy import current_merchant_id
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


@dataclass(frozen=True, slots=True)
class Period:
    """Booked days, both included; None is open: from the beginning, or to the end."""

    first: date | None = None
    last: date | None = None

    @property
    def bounds(self) -> tuple[date, date]:
        """The same with days in place of None, for SQL."""
        return self.first or date.min, self.last or date.max


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodBalance:
    """One account over a period, in fen: ``opening + debit − credit = closing``; balances are positive on the debit side."""

    account: Account
    opening: int
    debit: int
    credit: int

    @property
    def closing(self) -> int:
        """The balance at the period's end."""
        return self.opening + self.debit - self.credit

    @property
    def moved(self) -> bool:
        """Whether there is anything to show."""
        return bool(self.opening or self.debit or self.credit)


@dataclass(frozen=True, slots=True)
class TrialBalance:
    """All accounts over a period, by code."""

    period: Period
    rows: list[PeriodBalance]

    def __iter__(self) -> Iterator[PeriodBalance]:
        return iter(self.rows)

    @property
    def opening(self) -> int:
        """Zero, unless the books are broken."""
        return sum(row.opening for row in self.rows)

    @property
    def debit(self) -> int:
        """All debits of the period."""
        return sum(row.debit for row in self.rows)

    @property
    def credit(self) -> int:
        """All credits of the period; they equal the debits."""
        return sum(row.credit for row in self.rows)

    @property
    def closing(self) -> int:
        """Zero, unless the books are broken."""
        return sum(row.closing for row in self.rows)

    @property
    def holds(self) -> bool:
        """Whether it balances."""
        return self.opening == 0 and self.debit == self.credit


_PERIOD = """
SELECT p.account_id,
       COALESCE(sum(p.amount_minor) FILTER (WHERE e.booked_date < %(first)s), 0)::bigint,
       COALESCE(sum(p.amount_minor) FILTER (WHERE e.booked_date >= %(first)s AND p.amount_minor > 0), 0)::bigint,
       COALESCE(-sum(p.amount_minor) FILTER (WHERE e.booked_date >= %(first)s AND p.amount_minor < 0), 0)::bigint
FROM ledger_posting p
JOIN ledger_journalentry e ON e.merchant_id = p.merchant_id AND e.id = p.entry_id
WHERE p.merchant_id = %(merchant)s AND e.merchant_id = %(merchant)s AND e.booked_date <= %(last)s{only}
GROUP BY p.account_id
"""
_EVERY = _PERIOD.format(only="")
_ONE = _PERIOD.format(only=" AND p.account_id = %(account)s")


def period_balances(period: Period, *, account_id: int | None = None) -> TrialBalance:
    """Opening, debit, credit and closing of every account (or of one), by code. Two queries."""
    first, last = period.bounds
    values = {
        "merchant": current_merchant_id(),
        "first": first,
        "last": last,
        "account": account_id,
    }
    found = sql.every(_EVERY if account_id is None else _ONE, values)
    sums = {account: rest for account, *rest in found}
    accounts = Account.objects.order_by("code")
    if account_id is not None:
        accounts = accounts.filter(pk=account_id)
    rows = []
    for account in accounts:
        opening, debit, credit = sums.get(account.pk, (0, 0, 0))
        rows.append(PeriodBalance(account=account, opening=opening, debit=debit, credit=credit))
    return TrialBalance(period, rows)
