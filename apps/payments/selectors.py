"""Finding orders and payments."""

from __future__ import annotations

from apps.core.models import Door
from apps.payments.models import Order, Payment
from apps.platforms.gateway import PaymentRef, Product


def get_order(order_id: int) -> Order | None:
    """An order of the stores in scope, or None."""
    return Order.objects.visible().select_related("store", "code").filter(pk=order_id).first()


def order_by_door(door: Door) -> Order:
    """The order behind a checkout link. Raises Order.DoesNotExist."""
    return Order.objects.select_related("store", "code").get(pk=door.subject_id)


def get_payment(payment_id: int) -> Payment | None:
    """A payment of the stores in scope, or None."""
    return (
        Payment.objects.visible()
        .select_related("order", "store", "account")
        .filter(pk=payment_id)
        .first()
    )


def payment_by_order_no(*, order_no: str, account_id: int) -> Payment | None:
    """The payment that carries this number of ours at this account, or None."""
    return Payment.objects.filter(order_no=order_no, account_id=account_id).first()


def payment_ref(payment: Payment) -> PaymentRef:
    """How a gateway is told which payment is meant."""
    return PaymentRef(
        order_no=payment.order_no,
        began_at=payment.created_at,
        expires_at=payment.payable_until,
        product=Product(payment.product),
        platform_trade_no=payment.platform_trade_no,
    )
