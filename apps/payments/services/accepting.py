"""Taking back what was believed of a bill about a payment."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from apps.core import audit, live, outbox
from apps.core.audit import Actor
from apps.core.money import Money
from apps.ledger.models import JournalEntry, Purpose
from apps.ledger.services import Line, claim_day, post
from apps.payments.models import Order, OrderState, Payment, PaymentState
from apps.payments.services.applying import TAKEN_BACK


class NotTakenBack(Exception):
    """It stays as it is. ``reason``: ``"not_paid"``, ``"refunded"`` (in part, or asked for) or ``"closed"`` (its business day)."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@transaction.atomic
def take_back_payment(*, payment_id: int, reason: str, actor: Actor, now: datetime) -> Payment:
    """A payment is no longer taken for paid: closed, its entry undone by one with the sides exchanged on the same day.

    What a platform says of it later is applied again as of any closed payment. Raises NotTakenBack and leaves all as it was,
    Payment.DoesNotExist.
    """
    found = Payment.objects.only("order_id").get(pk=payment_id)
    # The order's row first, as everywhere.
    order = Order.objects.select_for_update().get(pk=found.order_id)
    payment: Payment = Payment.objects.select_for_update().get(pk=payment_id)
    if payment.state != PaymentState.SUCCEEDED or payment.booked_date is None:
        raise NotTakenBack("not_paid")
    if payment.refund_reserved_minor:
        raise NotTakenBack("refunded")
    if not claim_day(payment.booked_date):
        raise NotTakenBack("closed")
    amount = Money(payment.amount_minor, payment.currency)
    fee = Money(payment.fee_minor, payment.currency)
    number = JournalEntry.objects.filter(subject_kind="payment", subject_id=payment.pk).count()
    post(
        kind=f"payment.undone{number}",
        subject_kind="payment",
        subject_id=payment.pk,
        at=payment.paid_at or now,
        booked_date=payment.booked_date,
        memo=payment.order_no,
        lines=[
            Line(purpose=Purpose.RECEIVABLE, amount=fee - amount, subject_id=payment.account_id),
            Line(purpose=Purpose.FEES, amount=-fee),
            Line(purpose=Purpose.SALES, amount=amount),
        ],
    )
    Payment.objects.filter(pk=payment.pk).update(
        state=PaymentState.CLOSED,
        code_text=TAKEN_BACK,
        message=reason[:300],
        closed_at=now,
        paid_at=None,
        booked_date=None,
        fee_minor=0,
    )
    others = Payment.objects.filter(order=order, state=PaymentState.SUCCEEDED)
    if not others.exists():
        Order.objects.filter(pk=order.pk).update(
            state=OrderState.CLOSED, paid_at=None, closed_at=now
        )
    outbox.forget(task="payments.poll", merchant_id=payment.merchant_id, subject_id=payment.pk)
    audit.record(
        action="payment.taken_back",
        subject_kind="order",
        subject_id=order.pk,
        actor=actor,
        at=now,
        store_id=payment.store_id,
        data={
            "order_no": payment.order_no,
            "amount_minor": payment.amount_minor,
            "booked_date": payment.booked_date.isoformat(),
            "reason": reason[:200],
        },
    )
    live.publish(
        kind="payment",
        subject_id=payment.pk,
        store_id=payment.store_id,
        member_id=order.taken_by_id,
    )
    payment.refresh_from_db()
    return payment
