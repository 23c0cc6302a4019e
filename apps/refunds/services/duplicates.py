"""An order that was paid twice: the second payment goes back by itself."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.db import transaction

from apps.core import audit, live
from apps.core.audit import Actor
from apps.core.models import AuditEvent
from apps.core.money import Money
from apps.payments.models import Order, Payment, PaymentState
from apps.refunds.models import AUTOMATIC_REASON, Refund, RefundState
from apps.refunds.services.requesting import enqueue_send, record_step, reserve
from apps.refunds.services.timing import asked_back_again

REASON: Final = AUTOMATIC_REASON
#: While the first payment's own refund is under way nobody knows which of the two stays: looked at again after this.
WAIT: Final = timedelta(minutes=5)

SYSTEM = Actor.system("duplicates")


def duplicate_refund_no(payment: Payment, *, refused: int = 0) -> str:
    """The number of a payment's automatic refund, derived from the payment's own; after each refusal another."""
    number = f"R{payment.order_no[1:]}"
    return f"{number}{refused:02d}" if refused else number


@transaction.atomic
def refund_duplicate(*, payment_id: int, now: datetime) -> datetime | None:
    """Give a payment back that came after its order had been paid by another; harmless to repeat.

    One refund of all that is left of it, without anybody's confirmation; where the platform refused it, some more after
    longer and longer waits (``timing``). It is no duplicate, and stays, where every other
    payment of the order went back in full before: then it is the one that pays the order, and only a person can know
    whether it is owed. While such refunds are under way it is too early to tell: returns when to look again.
    """
    payment = Payment.objects.filter(pk=payment_id).first()
    if payment is None:
        return None
    # The order's row first, then its payments', as everywhere. Of two payments too many both might else take the other
    # for the one that stays.
    Order.objects.select_for_update(no_key=True).get(pk=payment.order_id)
    paid = (
        Payment.objects.select_related("order")
        .select_for_update(of=("self",))
        .filter(order_id=payment.order_id, state=PaymentState.SUCCEEDED)
    )
    locked = {row.pk: row for row in paid.order_by("pk")}
    mine = locked.pop(payment_id, None)
    if mine is None:
        return None
    earlier = Refund.objects.filter(payment=mine, is_automatic=True)
    states = list(earlier.values_list("state", flat=True))
    refused = states.count(RefundState.FAILED)
    if refused < len(states) or (refused and asked_back_again(refused) is None):
        return None
    others = list(locked.values())
    left = Money(mine.amount_minor - mine.refund_reserved_minor, mine.currency)
    if left.minor == 0 or not others:
        return None
    if any(other.refund_reserved_minor < other.amount_minor for other in others):
        refund = reserve(
            mine,
            amount=left,
            refund_no=duplicate_refund_no(mine, refused=refused),
            reason=REASON,
            state=RefundState.READY,
            is_automatic=True,
            created_at=now,
        )
        enqueue_send(refund, due_at=now)
        record_step(refund, "refund.automatic", actor=SYSTEM, now=now)
        return None
    if any(other.refunded_minor < other.amount_minor for other in others):
        return now + WAIT
    _keep(mine, now=now)
    return None


def _keep(payment: Payment, *, now: datetime) -> None:
    """Say once, in the order's timeline, that a second payment stays."""
    told = AuditEvent.objects.filter(
        subject_kind="order", subject_id=payment.order_id, action="payment.second_kept"
    )
    if any(event.data.get("order_no") == payment.order_no for event in told):
        return
    audit.record(
        action="payment.second_kept",
        subject_kind="order",
        subject_id=payment.order_id,
        actor=SYSTEM,
        at=now,
        store_id=payment.store_id,
        data={
            "order_no": payment.order_no,
            "platform": payment.platform,
            "amount_minor": payment.amount_minor,
        },
    )
    live.publish(
        kind="payment",
        subject_id=payment.pk,
        store_id=payment.store_id,
        member_id=payment.order.taken_by_id,
    )
