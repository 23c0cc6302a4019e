"""What the books say: a merchant's payments and refunds, and their sums."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from django.db.models import QuerySet, Sum

from apps.simulator import clock
from apps.simulator.models import Merchant, Order, OrderState, Refund, RefundState


def payments_of(merchant: Merchant, *, day: date | None = None) -> QuerySet[Order]:
    """Paid orders, oldest first; of one Beijing day (by payment time) when given."""
    orders = Order.objects.filter(merchant=merchant, state=OrderState.PAID)
    if day is not None:
        start, end = clock.beijing_period(day)
        orders = orders.filter(paid_at__gte=start, paid_at__lt=end)
    return orders.order_by("paid_at", "pk")


def refunds_of(merchant: Merchant, *, day: date | None = None) -> QuerySet[Refund]:
    """Accepted refunds, oldest first; of one Beijing day (by acceptance) when given."""
    refunds = Refund.objects.filter(merchant=merchant).select_related("order")
    if day is not None:
        start, end = clock.beijing_period(day)
        refunds = refunds.filter(created_at__gte=start, created_at__lt=end)
    return refunds.order_by("created_at", "pk")


@dataclass(frozen=True, slots=True, kw_only=True)
class BookTotals:
    """Sums of a merchant's books; refunds that were closed do not count. ``fee_fen`` is net."""

    paid_count: int
    paid_fen: int
    refunded_count: int
    refunded_fen: int
    fee_fen: int


def totals_of(merchant: Merchant, *, day: date | None = None) -> BookTotals:
    """The totals of ``payments_of`` and ``refunds_of``."""
    payments = payments_of(merchant, day=day)
    refunds = refunds_of(merchant, day=day).exclude(state=RefundState.CLOSED)
    paid = payments.aggregate(amount=Sum("amount_fen"), fee=Sum("fee_fen"))
    back = refunds.aggregate(amount=Sum("amount_fen"), fee=Sum("fee_fen"))
    return BookTotals(
        paid_count=payments.count(),
        paid_fen=paid["amount"] or 0,
        refunded_count=refunds.count(),
        refunded_fen=back["amount"] or 0,
        fee_fen=(paid["fee"] or 0) - (back["fee"] or 0),
    )
