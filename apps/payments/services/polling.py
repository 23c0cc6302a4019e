"""Asking the platforms about what is still open, since notifications get lost."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import F

from apps.core.audit import Actor
from apps.payments.models import OPEN_STATES, Order, OrderState, Payment, PaymentState
from apps.payments.selectors import payment_ref
from apps.payments.services.applying import ResultMismatch, apply_payment_result, settle_order
from apps.payments.services.timing import LIFETIME
from apps.platforms.gateway import (
    OrderNotFound,
    PaymentResult,
    PlatformRejected,
    PlatformUnavailable,
)
from apps.platforms.services import gateway_of

#: Age of a payment and how long to wait between two looks: soon, then slower.
SCHEDULE = (
    (timedelta(seconds=30), timedelta(seconds=5)),
    (timedelta(minutes=2), timedelta(seconds=10)),
    (timedelta(minutes=5), timedelta(seconds=30)),
    (timedelta(minutes=30), timedelta(minutes=1)),
)
SLOWEST = timedelta(minutes=5)
#: Between two tries to close what is past its time: at first, and at most.
CLOSE_RETRY = timedelta(seconds=15)
CLOSE_RETRY_SLOWEST = timedelta(hours=1)


def poll_delay(*, age: timedelta) -> timedelta:
    """How long to wait until the next look at a payment of this age."""
    for until, delay in SCHEDULE:
        if age < until:
            return delay
    return SLOWEST


def _close_delay(*, late: timedelta) -> timedelta:
    """How long to wait until the next try to close what is ``late``: a platform that refuses for good is asked rarely."""
    return min(max(CLOSE_RETRY, late / 4), CLOSE_RETRY_SLOWEST)


def _note(payment: Payment, *, now: datetime, message: str) -> None:
    Payment.objects.filter(pk=payment.pk).update(
        last_polled_at=now, poll_count=F("poll_count") + 1, message=message[:300]
    )


def _ask(payment: Payment, *, closing: bool) -> tuple[PaymentResult | None, str]:
    """The platform's word and, where there is none, why."""
    gateway = gateway_of(payment.account)
    try:
        if closing:
            return gateway.close_payment(payment_ref(payment)), ""
        return gateway.query_payment(payment_ref(payment)), ""
    except OrderNotFound:
        # Alipay knows a dynamic code only once it was scanned; a lost create was never received. Both: keep waiting.
        return None, ""
    except PlatformUnavailable as error:
        return None, error.message
    except PlatformRejected as error:
        return None, str(error)


def _look(payment: Payment, *, now: datetime, via: str, closing: bool) -> str:
    """Ask and apply; what went wrong in words, ``""`` for nothing."""
    result, trouble = _ask(payment, closing=closing)
    if result is not None:
        try:
            apply_payment_result(
                payment_id=payment.pk,
                result=result,
                via="close" if closing else via,
                now=now,
                actor=Actor.system(via),
            )
        except ResultMismatch as error:
            trouble = str(error)
    _note(payment, now=now, message=trouble)
    return trouble


def _last_look(payment: Payment, *, now: datetime) -> datetime | None:
    """One more question about an attempt that was closed early; its code could be paid until now."""
    trouble = _look(payment, now=now, via="poll", closing=False)
    late = now - payment.created_at - LIFETIME
    return now + _close_delay(late=late) if trouble else None


def refresh_payment(*, payment_id: int, now: datetime, via: str = "query") -> Payment:
    """Ask the platform now and apply what it says. A platform that does not answer leaves the payment as it was."""
    payment = Payment.objects.select_related("account").get(pk=payment_id)
    if payment.state in OPEN_STATES:
        _look(payment, now=now, via=via, closing=False)
        payment.refresh_from_db()
    return payment


def poll_payment(*, payment_id: int, now: datetime) -> datetime | None:
    """One look at an open payment; closes it when it is past its time or its order was paid otherwise.

    A payment that was closed early is asked about once more, after its time.
    Returns when to look again, None when there is nothing left to ask.
    """
    payment = Payment.objects.select_related("account", "order").filter(pk=payment_id).first()
    if payment is None:
        return None
    if payment.state == PaymentState.CLOSED and now >= payment.created_at + LIFETIME:
        return _last_look(payment, now=now)
    if payment.state not in OPEN_STATES:
        return None
    closing = now >= payment.expires_at or payment.order.state == OrderState.PAID
    if closing and payment.state != PaymentState.CREATED:
        # It may have been paid in the last second: ask before closing, so that "closed" is never a guess.
        _look(payment, now=now, via="poll", closing=False)
        payment.refresh_from_db()
        if payment.state not in OPEN_STATES:
            return None
    _look(payment, now=now, via="poll", closing=closing)
    payment.refresh_from_db()
    if payment.state not in OPEN_STATES:
        return None
    if closing:
        return now + _close_delay(late=now - payment.expires_at)
    return min(now + poll_delay(age=now - payment.created_at), payment.expires_at)


def expire_order(*, order_id: int, now: datetime) -> datetime | None:
    """Close an order past its time once no attempt of it can still be paid; the attempts' own polls close them."""
    order = Order.objects.filter(pk=order_id, state=OrderState.OPEN).first()
    if order is None:
        return None
    if order.expires_at > now:
        return order.expires_at
    if settle_order(order_id=order_id, now=now):
        return None
    return now + _close_delay(late=now - order.expires_at)
