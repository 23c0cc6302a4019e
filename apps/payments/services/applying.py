"""The one place where a payment's state changes by what a platform said, whatever road the word came by."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from django.db import transaction
from django.db.models import F, Q, Value
from django.db.models.functions import Coalesce, Least

from apps.core import audit, live, outbox
from apps.core.audit import Actor
from apps.core.encryption import keyed_hash
from apps.core.money import Money
from apps.ledger.models import Purpose
from apps.ledger.services import Line, booking_date, post
from apps.payments.models import OPEN_STATES, Order, OrderState, Payment, PaymentState
from apps.payments.services.timing import LAST_LOOK
from apps.platforms import registry
from apps.platforms.gateway import Outcome, PaymentResult, Product

#: A platform's word of success overrides our closing or giving up: the money is there. What was ended in a way that gives
#: money back is the exception: see ``_doubt``.
_MAY_BECOME_PAID = (*OPEN_STATES, PaymentState.CLOSED, PaymentState.FAILED)
#: The road of what a platform answers to a reversal.
REVERSAL: Final = "reverse"
#: What was reversed, or whose reversal may be under way: it was asked about for the last time. And a payer's code that is
#: closed, whoever closed it.
_REVERSED: Final = Q(ending_at__isnull=False, state__in=(*OPEN_STATES, PaymentState.CLOSED)) | Q(
    product=Product.BARCODE.value, state=PaymentState.CLOSED
)

_TARGETS = {
    Outcome.CLOSED: (PaymentState.CLOSED, OPEN_STATES),
    Outcome.FAILED: (PaymentState.FAILED, OPEN_STATES),
    Outcome.PENDING: (PaymentState.PENDING, (PaymentState.CREATED, PaymentState.UNKNOWN)),
    Outcome.UNKNOWN: (PaymentState.UNKNOWN, (PaymentState.CREATED, PaymentState.PENDING)),
}


class ResultMismatch(Exception):
    """The platform's word does not fit the payment (amount, currency, trade number): nothing was changed."""

    def __init__(self, what: str, *, ours: str, theirs: str) -> None:
        super().__init__(f"{what}: ours {ours}, theirs {theirs}")
        self.what = what
        self.ours = ours
        self.theirs = theirs


def _check(payment: Payment, result: PaymentResult) -> None:
    if result.order_no != payment.order_no:
        raise ResultMismatch("order number", ours=payment.order_no, theirs=result.order_no)
    ours = Money(payment.amount_minor, payment.currency)
    if result.outcome is Outcome.SUCCEEDED and result.amount is not None and result.amount != ours:
        theirs = f"{result.amount.to_yuan()} {result.amount.currency}"
        raise ResultMismatch("amount", ours=f"{ours.to_yuan()} {ours.currency}", theirs=theirs)
    known = payment.platform_trade_no
    if result.platform_trade_no and not known:
        other = Payment.objects.filter(
            account_id=payment.account_id, platform_trade_no=result.platform_trade_no
        ).first()
        if other is not None:
            raise ResultMismatch("trade number", ours=other.order_no, theirs=payment.order_no)
    if known and result.platform_trade_no and known != result.platform_trade_no:
        raise ResultMismatch("trade number", ours=known, theirs=result.platform_trade_no)


def _succeed(
    payment: Payment, result: PaymentResult, *, via: str, now: datetime, actor: Actor
) -> bool:
    paid_at = result.paid_at or now
    amount = Money(payment.amount_minor, payment.currency)
    fee = amount.share(rate_ppm=payment.account.fee_rate_ppm)
    booked = booking_date(at=paid_at)
    payer_hash = (
        keyed_hash(result.payer_id, merchant_id=payment.merchant_id, purpose="payer")
        if result.payer_id
        else payment.payer_hash
    )
    payable = Payment.objects.filter(pk=payment.pk, state__in=_MAY_BECOME_PAID)
    if via != REVERSAL:
        payable = payable.exclude(_REVERSED)
    changed = payable.update(
        state=PaymentState.SUCCEEDED,
        platform_trade_no=result.platform_trade_no or payment.platform_trade_no,
        wallet=result.wallet or payment.wallet,
        payer_hash=payer_hash,
        payer_masked=result.payer_masked or payment.payer_masked,
        fee_minor=fee.minor,
        paid_at=paid_at,
        closed_at=None,
        booked_date=booked,
        code_text=result.code[:64],
        message="",
    )
    if not changed:
        return False
    first = (
        Order.objects.filter(pk=payment.order_id)
        .exclude(state=OrderState.PAID)
        .update(state=OrderState.PAID, paid_at=paid_at, closed_at=None)
    )
    post(
        kind="payment",
        subject_kind="payment",
        subject_id=payment.pk,
        at=paid_at,
        booked_date=booked,
        memo=payment.order_no,
        lines=[
            Line(purpose=Purpose.RECEIVABLE, amount=amount - fee, subject_id=payment.account_id),
            Line(purpose=Purpose.FEES, amount=fee),
            Line(purpose=Purpose.SALES, amount=-amount),
        ],
    )
    _record(
        payment,
        "payment.succeeded" if first else "payment.second",
        result,
        via=via,
        now=now,
        actor=actor,
    )
    if not first:
        # Paid twice: what is too much goes back by itself, unless the first payment went back before.
        outbox.enqueue(
            task="refunds.refund_duplicate",
            merchant_id=payment.merchant_id,
            subject_id=payment.pk,
            due_at=now,
        )
    # Other attempts of a paid order must not be paid as well: nobody is led on to them, and their next poll ends them.
    siblings = Payment.objects.filter(order_id=payment.order_id, state__in=OPEN_STATES).exclude(
        pk=payment.pk
    )
    for sibling in siblings:
        outbox.enqueue(
            task="payments.poll", merchant_id=payment.merchant_id, subject_id=sibling.pk, due_at=now
        )
    siblings.update(expires_at=Least("expires_at", Value(now)))
    outbox.forget(
        task="payments.expire_order", merchant_id=payment.merchant_id, subject_id=payment.order_id
    )
    return True


def _doubt(
    payment: Payment, result: PaymentResult, *, via: str, now: datetime, actor: Actor
) -> None:
    """Success is told of a payment that was or may have been reversed: let it be reversed once more, and go by the answer.

    The word may be an echo of what the reversal undid: a notice sent before it, or UnionPay's answer about the original,
    which stays a success. At a platform whose closing gives back (Shouqianba) that goes for every attempt. Where the
    reversal did not hold, the payer was told that nothing was taken, so giving the money back keeps our word; and what the
    platform will not give back is made paid by that answer. A doubted success is therefore neither lost nor believed.
    """
    _record(payment, "payment.doubted", result, via=via, now=now, actor=actor)
    outbox.enqueue(
        task="payments.poll", merchant_id=payment.merchant_id, subject_id=payment.pk, due_at=now
    )


def would_change(payment: Payment, result: PaymentResult) -> bool:
    """Whether a word may change anything, going by the payment as it was loaded; what may must be applied."""
    if result.order_no != payment.order_no or result.outcome is Outcome.SUCCEEDED:
        return payment.state != PaymentState.SUCCEEDED
    return payment.state in _TARGETS[result.outcome][1]


def _record(
    payment: Payment, action: str, result: PaymentResult, *, via: str, now: datetime, actor: Actor
) -> None:
    audit.record(
        action=action,
        subject_kind="order",
        subject_id=payment.order_id,
        actor=actor,
        at=now,
        store_id=payment.store_id,
        data={
            "via": via,
            "order_no": payment.order_no,
            "platform": payment.platform,
            "platform_trade_no": result.platform_trade_no or "",
            "amount_minor": payment.amount_minor,
            "code": result.code,
            "message": result.message[:200],
        },
    )


def settle_order(*, order_id: int, now: datetime) -> bool:
    """Close an order that is past its time and has no attempt left that could still be paid."""
    alive = Payment.objects.filter(
        Q(state__in=OPEN_STATES) | Q(state=PaymentState.SUCCEEDED), order_id=order_id
    )
    changed = (
        Order.objects.filter(pk=order_id, state=OrderState.OPEN, expires_at__lte=now)
        .exclude(pk__in=alive.values("order_id"))
        .update(state=OrderState.CLOSED, closed_at=now)
    )
    return bool(changed)


@transaction.atomic
def apply_payment_result(
    *, payment_id: int, result: PaymentResult, via: str, now: datetime, actor: Actor
) -> bool:
    """Move a payment to what the platform says, once; True if anything changed.

    ``via`` is the road: notification, poll, query, close, reverse, charge, bill, start. Success posts to the ledger and
    pays the order in the same transaction. Raises ResultMismatch, Payment.DoesNotExist.
    """
    payment = Payment.objects.select_related("account").get(pk=payment_id)
    _check(payment, result)
    if result.outcome not in {Outcome.PENDING, Outcome.UNKNOWN}:
        # The order's row first, then its payments', as everywhere: the other way round this and ``close_order`` deadlock.
        Order.objects.select_for_update(no_key=True).get(pk=payment.order_id)
    if result.outcome is Outcome.SUCCEEDED:
        changed = _succeed(payment, result, via=via, now=now, actor=actor)
        if not changed and Payment.objects.filter(_REVERSED, pk=payment.pk).exists():
            _doubt(payment, result, via=via, now=now, actor=actor)
    else:
        target, allowed = _TARGETS[result.outcome]
        final = target in {PaymentState.CLOSED, PaymentState.FAILED}
        gives_back = target == PaymentState.CLOSED and registry.close_gives_back(payment.platform)
        # Whoever closed it there: what was paid before went back. But where nothing was there, nothing went back.
        ending = Coalesce(F("ending_at"), Value(now)) if not result.unseen else None
        changed = bool(
            Payment.objects.filter(pk=payment.pk, state__in=allowed).update(
                state=target,
                closed_at=now if final else None,
                code_text=result.code[:64],
                message=result.message[:300],
                **({"ending_at": ending} if gives_back else {}),
            )
        )
        if changed:
            _record(payment, f"payment.{target}", result, via=via, now=now, actor=actor)
        if changed and final:
            settle_order(order_id=payment.order_id, now=now)
    if changed:
        if result.outcome not in {Outcome.PENDING, Outcome.UNKNOWN}:
            outbox.forget(
                task="payments.poll", merchant_id=payment.merchant_id, subject_id=payment.pk
            )
        if (
            result.outcome is Outcome.CLOSED
            and now < payment.payable_until
            and payment.product != Product.BARCODE
            and (result.unseen or not registry.close_gives_back(payment.platform))
        ):
            outbox.enqueue(
                task="payments.poll",
                merchant_id=payment.merchant_id,
                subject_id=payment.pk,
                due_at=payment.payable_until + LAST_LOOK,
            )
        live.publish(kind="payment", subject_id=payment.pk, store_id=payment.store_id)
    return changed
