"""Pages of transactions, their sums, and the names that go with them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from django.db.models import Count, F, Q, Sum
from django.db.models.functions import Coalesce

from apps.merchants.models import Store
from apps.platforms.models import PlatformAccount
from apps.qrcodes.models import QRCode
from apps.reports.models import Transaction, TransactionKind
from apps.reports.selectors.filters import TransactionFilters, matching

PAGE_SIZES: Final = (25, 50, 100, 200)
PAGE_SIZE: Final = 50

_CURSOR = re.compile(r"(?P<micros>\d{1,16})-(?P<key>\d{1,19})")
_LATEST_MICROS = 4_102_444_800_000_000  # the year 2100
_LATEST_KEY = 2**63 - 1


class BadCursor(ValueError):
    """The place in the list that an address names is none."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place between two rows: after this row (older), or before it (``newer``)."""

    created_at: datetime
    key: int
    newer: bool = False

    def text(self) -> str:
        """The place as an address carries it: microseconds since 1970 and the row's key."""
        since = self.created_at - datetime(1970, 1, 1, tzinfo=UTC)
        micros = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
        return f"{micros}-{self.key}"

    @classmethod
    def parse(cls, text: str, *, newer: bool = False) -> Cursor:
        """The place that ``text`` names. Raises BadCursor."""
        match = _CURSOR.fullmatch(text) if text.isascii() else None
        if match is None:
            raise BadCursor(text[:40])
        micros, key = int(match["micros"]), int(match["key"])
        if micros > _LATEST_MICROS or key > _LATEST_KEY:
            raise BadCursor(text[:40])
        seconds, rest = divmod(micros, 1_000_000)
        return cls(datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest), key, newer)


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows, newest first, and where the pages beside them begin (None: there is none)."""

    rows: list[Transaction] = field(default_factory=list)
    newer: Cursor | None = None
    older: Cursor | None = None


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
    filters: TransactionFilters, cursor: Cursor | None = None, size: int = PAGE_SIZE
) -> Page:
    """The page at ``cursor`` (None: the newest) by keyset on creation time and key: new rows shift nothing.

    Raises TooManyFound.
    """
    rows = matching(filters)
    newer = cursor is not None and cursor.newer
    if cursor is not None:
        # Written so that the first condition can use the index; the second cuts the ties.
        if newer:
            rows = rows.filter(created_at__gte=cursor.created_at).filter(
                Q(created_at__gt=cursor.created_at) | Q(key__gt=cursor.key)
            )
        else:
            rows = rows.filter(created_at__lte=cursor.created_at).filter(
                Q(created_at__lt=cursor.created_at) | Q(key__lt=cursor.key)
            )
    order = ("created_at", "key") if newer else ("-created_at", "-key")
    found = list(rows.order_by(*order)[: size + 1])
    more, found = len(found) > size, found[:size]
    if newer:
        found.reverse()
    if not found:
        return Page()
    has_newer = more if newer else cursor is not None
    has_older = newer or more
    first, last = found[0], found[-1]
    return Page(
        found,
        Cursor(first.created_at, first.key, newer=True) if has_newer else None,
        Cursor(last.created_at, last.key) if has_older else None,
    )


def sum_transactions(filters: TransactionFilters) -> Sums:
    """Counts and sums of what the filters let through. Raises TooManyFound."""
    paid = Q(kind=TransactionKind.PAYMENT, effective_minor__gt=0)
    refunded = Q(kind=TransactionKind.REFUND, effective_minor__lt=0)
    found = matching(filters).aggregate(
        rows=Count("key"),
        payment_count=Count("key", filter=paid),
        payment_minor=Coalesce(Sum("effective_minor", filter=paid), 0),
        refund_count=Count("key", filter=refunded),
        refund_minor=Coalesce(-Sum(F("effective_minor"), filter=refunded), 0),
        fee_minor=Coalesce(Sum("fee_minor"), 0),
    )
    return Sums(**{name: int(value) for name, value in found.items()})


@dataclass(frozen=True, slots=True)
class Names:
    """The stores, accounts and codes in scope, by id."""

    stores: dict[int, Store]
    accounts: dict[int, PlatformAccount]
    codes: dict[int, QRCode]


def load_names() -> Names:
    """What rows call by id. Three queries; a merchant has tens of stores and accounts and hundreds of codes."""
    return Names(
        {store.pk: store for store in Store.objects.visible("pk").order_by("name")},
        {account.pk: account for account in PlatformAccount.objects.order_by("pk")},
        {
            code.pk: code
            for code in QRCode.objects.visible()
            .select_related("scenario")
            .order_by("scenario__name", "pk")
        },
    )
