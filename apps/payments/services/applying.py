"""The one place where a payment's state changes by what a platform said, whatever road the word came by."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from django.db import transaction
from django.db.models import F, Q, Value
from django.db.models.functions import Coalesce

from apps.core import audit, clock, live, outbox, sql
from apps.core.audit import Actor
from apps.core.encryption import keyed_hash
from apps.core.money import Money
from apps.ledger.models import JournalEntry, Purpose
from apps.ledger.services import Line, booking_date, post
from apps.payments.models import OPEN_STATES, Order, OrderState, Payment, PaymentState
from apps.payments.services.timing import LAST_LOOK
from apps.platforms import registry
from apps.platforms.gateway import Outcome, PaymentResult, Product
from apps.platforms.selectors.agreements import fee_book

#: The road of what a platform answers to a reversal.
REVERSAL: Final = "reverse"
#: ``code_text`` of a payment or refund that was believed and is so no longer: its entry was undone.
TAKEN_BACK: Final = "TAKEN_BACK"
#: What was reversed, or whose reversal may be under way: it was asked about for the last time. And a payer's code that is
#: closed, whoever closed it; but what is only taken back in the books was reversed by nobody.
_REVERSED: Final = """(
    ending_at IS NOT NULL AND state IN ('created', 'pending', 'unknown', 'closed')
    OR product = 'barcode' AND state = 'closed' AND code_text <> 'TAKEN_BACK'
)"""
_IS_REVERSED: Final = (
    f"SELECT FROM payments_payment WHERE merchant_id = %s AND id = %s AND {_REVERSED}"
)

#: A platform's word of success overrides our closing or giving up: the money is there. What was ended in a way that gives
#: money back is the exception: see ``_doubt``.
_PAY: Final = f"""
UPDATE payments_payment SET state = 'succeeded', platform_trade_no = %(trade_no)s, wallet = %(wallet)s,
    payer_hash = %(payer_hash)s, payer_masked = %(payer_masked)s, fee_minor = %(fee)s, paid_at = %(paid_at)s, closed_at = NULL,
    booked_date = %(booked)s, code_text = %(code)s, message = ''
WHERE merchant_id = %(merchant)s AND id = %(payment)s
    AND state IN ('created', 'pending', 'unknown', 'closed', 'failed') AND (%(reversal)s OR NOT {_REVERSED})
"""  # noqa: S608  # put together of constants
_PAY_ORDER: Final = """
UPDATE payments_order SET state = 'paid', paid_at = %s, closed_at = NULL WHERE merchant_id = %s AND id = %s AND state <> 'paid'
"""
#: The order's other attempts end: nobody is led on to them.
_END_OTHERS: Final = """
UPDATE payments_payment SET expires_at = LEAST(expires_at, %s)
WHERE merchant_id = %s AND order_id = %s AND id <> %s AND state IN ('created', 'pending', 'unknown')
RETURNING id
"""
_BY_TRADE_NO: Final = """
SELECT order_no FROM payments_payment WHERE merchant_id = %s AND account_id = %s AND platform_trade_no = %s
"""
_HOLD_ORDER: Final = (
    "SELECT taken_by_id FROM payments_order WHERE merchant_id = %s AND id = %s FOR NO KEY UPDATE"
)

_TARGETS = {
    Outcome.CLOSED: (PaymentState.CLOSED, OPEN_STATES),
    Outcome.FAILED: (PaymentState.FAILED, OPEN_STATES),
    Outcome.PENDING: (PaymentState.PENDING, (PaymentState.CREATED, PaymentState.UNKNOWN)),
    Outcome.UNKNOWN: (PaymentState.UNKNOWN, (PaymentState.CREATED, PaymentState.PENDING)),
}


def entry_kind(kind: str, subject_id: int, *, code_text: str) -> str:
    """The kind of the entry that books a payment or refund: after it was taken back, one that is free again."""
    if code_text != TAKEN_BACK:
        return kind
    number = JournalEntry.objects.filter(subject_kind=kind, subject_id=subject_id).count()
    return f"{kind}.again{number}"


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
        other = sql.first(
            _BY_TRADE_NO, [payment.merchant_id, payment.account_id, result.platform_trade_no]
        )
        if other is not None:
            raise ResultMismatch("trade number", ours=other[0], theirs=payment.order_no)
    if known and result.platform_trade_no and known != result.platform_trade_no:
        raise ResultMismatch("trade number", ours=known, theirs=result.platform_trade_no)


def _succeed(
    payment: Payment, result: PaymentResult, *, via: str, now: datetime, actor: Actor
) -> bool:
    paid_at = result.paid_at or now
    amount = Money(payment.amount_minor, payment.currency)
    fee = Money(
        fee_book(payment.account).fee(
            amount_minor=amount.minor,
            day=clock.business_date(paid_at),
            wallet=result.wallet or payment.wallet or payment.platform,
            product=payment.product,
        ),
        payment.currency,
    )
    booked = booking_date(at=paid_at)
    payer_hash = (
        keyed_hash(result.payer_id, merchant_id=payment.merchant_id, purpose="payer")
        if result.payer_id
        else payment.payer_hash
    )
    changed = sql.run(
        _PAY,
        {
            "merchant": payment.merchant_id,
            "payment": payment.pk,
            "trade_no": result.platform_trade_no or payment.platform_trade_no,
            "wallet": result.wallet or payment.wallet,
            "payer_hash": payer_hash,
            "payer_masked": result.payer_masked or payment.payer_masked,
            "fee": fee.minor,
            "paid_at": paid_at,
            "booked": booked,
            "code": result.code[:64],
            "reversal": via == REVERSAL,
        },
    )
    if not changed:
        return False
    first = sql.run(_PAY_ORDER, [paid_at, payment.merchant_id, payment.order_id])
    post(
        kind=entry_kind("payment", payment.pk, code_text=payment.code_text),
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
    others = sql.every(_END_OTHERS, [now, payment.merchant_id, payment.order_id, payment.pk])
    for (other,) in others:
        outbox.enqueue(
            task="payments.poll", merchant_id=payment.merchant_id, subject_id=other, due_at=now
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
    return apply_to_payment(payment, result, via=via, now=now, actor=actor)


def apply_to_payment(
    payment: Payment, result: PaymentResult, *, via: str, now: datetime, actor: Actor
) -> bool:
    """As ``apply_payment_result``, for a payment that the caller's transaction has just loaded with its account.

    ResultMismatch leaves that transaction as it was; anything else that is raised must end it.
    """
    _check(payment, result)
    definite = result.outcome not in {Outcome.PENDING, Outcome.UNKNOWN}
    place = [payment.merchant_id, payment.order_id]
    # The order's row first, then its payments', as everywhere: the other way round this and ``close_order`` deadlock.
    held = sql.first(_HOLD_ORDER, place) if definite else None
    if definite and held is None:
        raise Order.DoesNotExist(payment.order_id)
    over = {"payments.poll": payment.pk}
    if result.outcome is Outcome.SUCCEEDED:
        changed = _succeed(payment, result, via=via, now=now, actor=actor)
        if not changed and sql.first(_IS_REVERSED, [payment.merchant_id, payment.pk]) is not None:
            _doubt(payment, result, via=via, now=now, actor=actor)
        over["payments.expire_order"] = payment.order_id
    else:
        target, allowed = _TARGETS[result.outcome]
        if target == PaymentState.FAILED and payment.ending_at is not None:
            # Told after the last question, it may be the reversal's own work: closed, so that an old success is doubted.
            target = PaymentState.CLOSED
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
    early = now < payment.payable_until
    if changed:
        if definite:
            outbox.forget_all(over, merchant_id=payment.merchant_id)
        if (
            result.outcome is Outcome.CLOSED
            and payment.product != Product.BARCODE
            # What was never seen may be opened and paid later still, whatever end it was given.
            and (result.unseen or (early and not registry.close_gives_back(payment.platform)))
        ):
            outbox.enqueue(
                task="payments.poll",
                merchant_id=payment.merchant_id,
                subject_id=payment.pk,
                due_at=max(now, payment.payable_until) + LAST_LOOK,
            )
        live.publish(
            kind="payment",
            subject_id=payment.pk,
            store_id=payment.store_id,
            member_id=held[0] if held is not None else payment.order.taken_by_id,
        )
    return changed
