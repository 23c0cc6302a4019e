"""Finding orders and payments."""

from __future__ import annotations

from datetime import datetime

from apps.core import sql
from apps.core.models import Door
from apps.core.tenancy import current_merchant_id
from apps.payments.models import Order, Payment
from apps.platforms.gateway import PaymentRef, Platform, Product
from apps.platforms.wallets import form_is_fresh, opens_again

_BY_ORDER_NO = sql.Loading(
    Payment,
    "SELECT {columns} FROM payments_payment WHERE merchant_id = %s AND order_no = %s AND account_id = %s",
)


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
    return _BY_ORDER_NO.first([current_merchant_id(), order_no, account_id])


def has_handover(payment: Payment) -> bool:
    """Whether the platform has taken an attempt: there is a code, an address, a call or a form to pay it by."""
    ways = ("qr_content", "redirect_url", "invoke", "form")
    return any(payment.handover.get(name) for name in ways)


def leads_on(payment: Payment, *, now: datetime) -> bool:
    """Whether the payer can still be led to the platform by what it gave for an attempt under way."""
    if not has_handover(payment) or now >= payment.expires_at:
        return False
    return not payment.handover.get("form") or form_is_fresh(age=now - payment.created_at)


def goes_on(payment: Payment, *, now: datetime) -> bool:
    """Whether an attempt under way is the one to go on with; otherwise another with a number of its own must be begun."""
    if has_handover(payment):
        return leads_on(payment, now=now)
    return now < payment.expires_at and opens_again(
        Platform(payment.platform), Product(payment.product)
    )


def payment_ref(payment: Payment) -> PaymentRef:
    """How a gateway is told which payment is meant."""
    return PaymentRef(
        order_no=payment.order_no,
        began_at=payment.created_at,
        expires_at=payment.payable_until,
        # The bill may not tell how one that began at the platform was paid.
        product=Product(payment.product or Product.DYNAMIC_QR),
        platform_trade_no=payment.platform_trade_no,
    )
