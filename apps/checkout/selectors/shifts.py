"""Cashiers' shifts and what they add up to. ``member`` as ``taken_by`` in ``selectors.desk``: None means everybody's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import Case, Count, Exists, F, OuterRef, Q, Sum, When

from apps.accounts.models import User
from apps.checkout.models import Shift, ShiftTotal
from apps.core import keyset
from apps.payments.models import OPEN_STATES, Order, OrderState, Payment, PaymentState
from apps.platforms.gateway import Product
from apps.refunds.models import Refund, RefundState

#: No order taken at a desk can be paid for so long.
_OLDEST: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class WalletSum:
    """What one wallet brought in, and what went back to it; fen."""

    wallet: str
    paid_count: int = 0
    paid_minor: int = 0
    refund_count: int = 0
    refund_minor: int = 0


@dataclass(frozen=True, slots=True)
class ShiftSums:
    """A shift's sums by wallet, in the order of their names."""

    rows: list[WalletSum]

    @property
    def paid_count(self) -> int:
        """How many payments."""
        return sum(row.paid_count for row in self.rows)

    @property
    def paid_minor(self) -> int:
        """What came in, in fen."""
        return sum(row.paid_minor for row in self.rows)

    @property
    def refund_count(self) -> int:
        """How many refunds."""
        return sum(row.refund_count for row in self.rows)

    @property
    def refund_minor(self) -> int:
        """What went back, in fen."""
        return sum(row.refund_minor for row in self.rows)

    @property
    def net_minor(self) -> int:
        """What came in less what went back."""
        return self.paid_minor - self.refund_minor


def open_shift_of(member: User) -> Shift | None:
    """The member's open shift, or None."""
    shifts = Shift.objects.select_related("store").filter(member=member, closed_at__isnull=True)
    found: Shift | None = shifts.first()
    return found


def get_shift(shift_id: int, *, member: User | None) -> Shift | None:
    """A shift in one of the stores in scope, or None; another member's is None as well.

    One's own is found wherever it was opened: who was moved to another store must be able to close it.
    """
    if member is not None:
        shifts = Shift.objects.filter(member=member).select_related("store", "member")
    else:
        shifts = Shift.objects.visible().select_related("store", "member")
    return shifts.filter(pk=shift_id).first()


def list_shifts(
    *, member: User | None, after: str = "", before: str = "", size: int = 30
) -> keyset.Page[Shift]:
    """Shifts in the stores in scope with what they added up to, latest first. Raises BadCursor."""
    shifts = Shift.objects.visible().select_related("store", "member").prefetch_related("totals")
    if member is not None:
        shifts = shifts.filter(member=member)
    return keyset.page(shifts, at="opened_at", after=after, before=before, size=size)


def written_sums(totals: Iterable[ShiftTotal]) -> ShiftSums:
    """What was written down at the close."""
    rows = [
        WalletSum(
            wallet=row.wallet,
            paid_count=row.paid_count,
            paid_minor=row.paid_minor,
            refund_count=row.refund_count,
            refund_minor=row.refund_minor,
        )
        for row in totals
    ]
    return ShiftSums(sorted(rows, key=lambda row: row.wallet))


def add_up(shift: Shift, *, until: datetime) -> ShiftSums:
    """What a shift adds up to as the portal knows it now, for ``[opened_at, until)``. Two queries.

    Paid: what this member took in this store. Refunded: what went back of that, whenever it was taken.
    """
    whose: dict[str, Any] = {"store_id": shift.store_id, "order__taken_by_id": shift.member_id}
    paid = (
        Payment.objects.filter(
            **whose,
            state=PaymentState.SUCCEEDED,
            paid_at__gte=shift.opened_at,
            paid_at__lt=until,
            # For the index of the store's payments: what is paid is never that old.
            created_at__gte=shift.opened_at - _OLDEST,
        )
        .annotate(by=_wallet(""))
        .values("by")
        .annotate(count=Count("pk"), minor=Sum("amount_minor"))
    )
    given_back = (
        Refund.objects.filter(
            payment__store_id=shift.store_id,
            payment__order__taken_by_id=shift.member_id,
            state=RefundState.SUCCEEDED,
            refunded_at__gte=shift.opened_at,
            refunded_at__lt=until,
        )
        .annotate(by=_wallet("payment__"))
        .values("by")
        .annotate(count=Count("pk"), minor=Sum("amount_minor"))
    )
    came = {row["by"]: row for row in paid.order_by()}
    went = {row["by"]: row for row in given_back.order_by()}
    nothing = {"count": 0, "minor": 0}
    return ShiftSums(
        [
            WalletSum(
                wallet=wallet,
                paid_count=came.get(wallet, nothing)["count"],
                paid_minor=came.get(wallet, nothing)["minor"],
                refund_count=went.get(wallet, nothing)["count"],
                refund_minor=went.get(wallet, nothing)["minor"],
            )
            for wallet in sorted({*came, *went})
        ]
    )


def _wallet(path: str) -> Case:
    """Who paid: payments from before wallets were kept were paid by their platform's own."""
    return Case(
        When(**{f"{path}wallet": ""}, then=F(f"{path}platform")), default=F(f"{path}wallet")
    )


def open_in(shift: Shift, *, now: datetime) -> list[Order]:
    """What the member asked for in this shift and may still be paid for, or was tried and has no end yet; oldest first."""
    tried = Payment.objects.filter(order=OuterRef("pk"), state__in=OPEN_STATES)
    orders = Order.objects.filter(
        Q(state=OrderState.OPEN, expires_at__gt=now) | Exists(tried),
        store_id=shift.store_id,
        taken_by_id=shift.member_id,
        created_at__gte=shift.opened_at,
    )
    scanned = Payment.objects.filter(order=OuterRef("pk"), product=Product.BARCODE)
    return list(orders.annotate(by_barcode=Exists(scanned)).order_by("created_at", "pk"))


def still_open(shift: Shift) -> int:
    """How many payments of the member's customers in this shift nobody knows the end of yet."""
    payments = Payment.objects.filter(
        store_id=shift.store_id,
        order__taken_by_id=shift.member_id,
        state__in=OPEN_STATES,
        created_at__gte=shift.opened_at,
    )
    return payments.count()
