"""What a desk shows: the order it asks money for, what came in, and nobody else's money.

``taken_by`` says whose: a member sees what that member took; None, for those who may see everybody's, means all.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from django.db.models import Count, Exists, OuterRef, Sum

from apps.accounts.models import User
from apps.checkout.selectors import Standing, standing, wallet_of
from apps.core import keyset
from apps.core.money import Money
from apps.core.tenancy import ScopedQuerySet
from apps.payments.models import OPEN_STATES, Order, OrderState, Payment, PaymentState
from apps.payments.selectors import has_handover
from apps.platforms.gateway import Product
from apps.refunds.models import Refund, RefundState

#: What was paid longer ago is not called out any more.
CALLED_FOR: Final = timedelta(minutes=10)
_CALLED: Final = 20
#: What is asked about again: from this amount on (fen), this many times what was paid within this time.
LARGE_FROM: Final = 100_000
LARGE_TIMES: Final = 10
LARGE_WITHIN: Final = timedelta(days=30)
_PAGE: Final = 30


def still_asked_for(member: User, *, now: datetime) -> list[Order]:
    """Orders that this member asked for at a desk and that can still be paid, the newest first; at most five."""
    orders = Order.objects.filter(taken_by=member, state=OrderState.OPEN, expires_at__gt=now)
    scanned = Payment.objects.filter(order=OuterRef("pk"), product=Product.BARCODE)
    return list(orders.exclude(Exists(scanned)).order_by("-created_at")[:5])


class Asking(StrEnum):
    """Where an order asked for at the desk stands for its cashier.

    WAITING: nobody has opened it at a wallet. PAYING: a customer is about to pay. ASKING: its time is over or it was given
    up, and the platform is asked whether it was paid at the last moment.
    """

    WAITING = "waiting"
    PAYING = "paying"
    ASKING = "asking"
    PAID = "paid"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class DeskOrder:
    """An order taken at a desk, with its store and all attempts to pay it."""

    order: Order
    payments: list[Payment]

    @property
    def by_barcode(self) -> bool:
        """Whether the customer's own code was scanned: the till's page shows such an order."""
        return any(payment.product == Product.BARCODE for payment in self.payments)

    @property
    def paid(self) -> Payment | None:
        """The attempt that paid it, if any."""
        done = [one for one in self.payments if one.state == PaymentState.SUCCEEDED]
        return done[0] if done else None

    def wallet(self) -> str:
        """Who paid it, or is about to; "" while nobody is."""
        under_way = [one for one in self.payments if one.state in OPEN_STATES and has_handover(one)]
        payment = self.paid or (under_way[-1] if under_way else None)
        return "" if payment is None else wallet_of(payment)

    def asking(self, *, now: datetime) -> Asking:
        """Where it stands at ``now``."""
        match standing(self.order, self.payments, now=now):
            case Standing.PAID:
                return Asking.PAID
            case Standing.CLOSED:
                return Asking.CLOSED
            case Standing.ASKING:
                return Asking.ASKING
            case Standing.OPEN:
                return Asking.PAYING if self.wallet() else Asking.WAITING


def get_desk_order(order_id: int, *, taken_by: User | None) -> Order | None:
    """An order taken at a desk of the stores in scope, or None; another member's is None as well."""
    orders = Order.objects.visible().select_related("store", "terminal")
    found: Order | None = orders.filter(**_whose(taken_by, "taken_by"), pk=order_id).first()
    return found


def unusually_large(amount: Money, *, store_id: int, now: datetime) -> bool:
    """Whether a cashier had better look at an amount again: at least ¥1,000, and ten times or more of all that the store was
    paid in the last thirty days. One query, none below ¥1,000.
    """
    if amount.minor < LARGE_FROM:
        return False
    usual = Payment.objects.filter(
        store_id=store_id,
        state=PaymentState.SUCCEEDED,
        created_at__gte=now - LARGE_WITHIN,
        amount_minor__gt=amount.minor // LARGE_TIMES,
    )
    return not usual.exists()


def called(member: User, *, now: datetime) -> list[Payment]:
    """What a member's own customers paid in the last minutes, oldest first: what a desk calls out."""
    since = now - CALLED_FOR
    payments = Payment.objects.visible().filter(
        order__taken_by=member,
        # The earliest that an order paid since then can have been opened, for the index.
        order__created_at__gte=since - timedelta(hours=1),
        state=PaymentState.SUCCEEDED,
        paid_at__gte=since,
    )
    latest = payments.select_related("order").order_by("-paid_at", "-pk")[:_CALLED]
    return list(reversed(latest))


@dataclass(frozen=True, slots=True)
class Takings:
    """What was taken at desks on a business day and what went back on it, in fen; a refund counts on its own booked day."""

    paid_count: int
    paid_minor: int
    refund_count: int
    refund_minor: int

    @property
    def net_minor(self) -> int:
        """Paid less what went back."""
        return self.paid_minor - self.refund_minor


def list_receipts(
    day: date, *, taken_by: User | None, after: str = "", before: str = "", size: int = _PAGE
) -> keyset.Page[Payment]:
    """One page of what was paid at desks on a business day, newest first. Raises BadCursor."""
    rows = _receipts(day, taken_by).select_related("order__taken_by", "store")
    return keyset.page(rows, at="paid_at", after=after, before=before, size=size)


def sum_receipts(day: date, *, taken_by: User | None) -> Takings:
    """What a business day adds up to, by booked days as everywhere: what was paid on it, and what went back on it of anything
    taken at desks, whenever that was. Two queries.
    """
    paid = _receipts(day, taken_by).aggregate(count=Count("pk"), minor=Sum("amount_minor"))
    back = _given_back(day, taken_by).aggregate(count=Count("pk"), minor=Sum("amount_minor"))
    return Takings(paid["count"], int(paid["minor"] or 0), back["count"], int(back["minor"] or 0))


def list_given_back(day: date, *, taken_by: User | None) -> list[Refund]:
    """What went back on a business day, latest first; at most as many as a page of receipts."""
    rows = _given_back(day, taken_by).select_related("payment__order__taken_by")
    return list(rows.order_by("-refunded_at", "-pk")[:_PAGE])


def _receipts(day: date, taken_by: User | None) -> ScopedQuerySet[Payment]:
    paid = Payment.objects.visible().filter(booked_date=day, state=PaymentState.SUCCEEDED)
    return paid.filter(**_whose(taken_by, "order__taken_by"))


def _given_back(day: date, taken_by: User | None) -> ScopedQuerySet[Refund]:
    done = Refund.objects.visible().filter(booked_date=day, state=RefundState.SUCCEEDED)
    return done.filter(**_whose(taken_by, "payment__order__taken_by"))


def _whose(taken_by: User | None, field: str) -> dict[str, Any]:
    """The condition for what was taken at a desk: by this member, or by any."""
    return {f"{field}__isnull": False} if taken_by is None else {field: taken_by}
