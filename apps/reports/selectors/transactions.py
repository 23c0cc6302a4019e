"""Pages of transactions, their sums, and the names that go with them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.db.models import Count, F, Q, Sum
from django.db.models.functions import Coalesce

from apps.core import keyset
from apps.merchants.models import Store, Terminal
from apps.platforms.models import PlatformAccount
from apps.qrcodes.models import QRCode
from apps.reports.models import Transaction, TransactionKind
from apps.reports.selectors.filters import TransactionFilters, matching

PAGE_SIZES: Final = (25, 50, 100, 200)
PAGE_SIZE: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """What some transactions add up to. Amounts in fen; only money that really moved counts.

    ``rows`` counts everything listed, also what was never paid; ``refund_minor`` is positive.
    """

    rows: int
    payment_count: int
    payment_minor: int
    refund_count: int
    refund_minor: int
    fee_minor: int

    @property
    def net_minor(self) -> int:
        """Paid less given back."""
        return self.payment_minor - self.refund_minor

    @property
    def moved_count(self) -> int:
        """How many rows the net adds up."""
        return self.payment_count + self.refund_count


def list_transactions(
    filters: TransactionFilters, *, after: str = "", before: str = "", size: int = PAGE_SIZE
) -> keyset.Page[Transaction]:
    """One page of what the filters let through, newest first. Raises TooManyFound, BadCursor."""
    rows = matching(filters)
    return keyset.page(rows, at="created_at", key="key", after=after, before=before, size=size)


def _aggregates() -> dict[str, Any]:
    paid = Q(kind=TransactionKind.PAYMENT, effective_minor__gt=0)
    refunded = Q(kind=TransactionKind.REFUND, effective_minor__lt=0)
    return {
        "rows": Count("key"),
        "payment_count": Count("key", filter=paid),
        "payment_minor": Coalesce(Sum("effective_minor", filter=paid), 0),
        "refund_count": Count("key", filter=refunded),
        "refund_minor": Coalesce(-Sum(F("effective_minor"), filter=refunded), 0),
        "fees_minor": Coalesce(Sum("fee_minor"), 0),
    }


def _sums(found: Mapping[str, Any]) -> Sums:
    counted = {name: int(found[name]) for name in _aggregates() if name != "fees_minor"}
    return Sums(**counted, fee_minor=int(found["fees_minor"]))


def sum_transactions(filters: TransactionFilters) -> Sums:
    """Counts and sums of what the filters let through. Raises TooManyFound."""
    return _sums(matching(filters).aggregate(**_aggregates()))


def sum_by(filters: TransactionFilters, *columns: str) -> dict[tuple[Any, ...], Sums]:
    """The same for each value of some columns; together they are ``sum_transactions``. One query. Raises TooManyFound."""
    rows = matching(filters).order_by().values(*columns).annotate(**_aggregates())
    return {tuple(row[name] for name in columns): _sums(row) for row in rows}


@dataclass(frozen=True, slots=True)
class Names:
    """The stores, accounts, codes and terminals in scope, by id."""

    stores: dict[int, Store]
    accounts: dict[int, PlatformAccount]
    codes: dict[int, QRCode]
    terminals: dict[int, Terminal]


def load_names() -> Names:
    """What rows call by id. Four queries; a merchant has tens of stores and accounts and hundreds of codes and terminals."""
    return Names(
        {store.pk: store for store in Store.objects.visible("pk").order_by("name")},
        {account.pk: account for account in PlatformAccount.objects.order_by("pk")},
        {
            code.pk: code
            for code in QRCode.objects.visible()
            .select_related("scenario")
            .order_by("scenario__name", "pk")
        },
        {
            terminal.pk: terminal
            for terminal in Terminal.objects.visible()
            .select_related("store")
            .order_by("name", "pk")
        },
    )
