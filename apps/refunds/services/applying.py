"""The one place where a refund's state changes by what a platform said."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.db.models import F

from apps.core import outbox
from apps.core.audit import Actor
from apps.core.money import Money
from apps.ledger.models import Purpose
from apps.ledger.services import Line, booking_date, post
from apps.payments.models import Payment
from apps.payments.services import ResultMismatch, entry_kind
from apps.platforms.gateway import Outcome, RefundResult
from apps.refunds.models import UNDER_WAY, Refund, RefundState
from apps.refunds.selectors import refunded_before
from apps.refunds.services.requesting import give_back_reserve, record_step
from apps.refunds.services.timing import asked_back_again


def _check(refund: Refund, result: RefundResult) -> None:
    if result.refund_no != refund.refund_no:
        raise ResultMismatch("refund number", ours=refund.refund_no, theirs=result.refund_no)
    ours = Money(refund.amount_minor, refund.currency)
    if result.amount is not None and result.amount != ours:
        raise ResultMismatch("amount", ours=ours.to_yuan(), theirs=result.amount.to_yuan())


def would_change(refund: Refund, result: RefundResult) -> bool:
    """Whether a word may change anything, going by the refund as it was loaded; what may must be applied."""
    ours = Money(refund.amount_minor, refund.currency)
    if result.refund_no != refund.refund_no or result.amount not in {None, ours}:
        return True
    if result.outcome is Outcome.PENDING:
        return refund.state != _pending_state(result)
    if result.outcome is Outcome.UNKNOWN:
        return refund.state in {RefundState.READY, RefundState.QUEUED}
    return True


def _pending_state(result: RefundResult) -> RefundState:
    return RefundState.ABNORMAL if result.code == "ABNORMAL" else RefundState.PROCESSING


def _reserve_again(refund: Refund) -> None:
    """A platform may pay out what it had called failed: the amount must be reserved anew, if it is still free.

    Raises ResultMismatch where it was given to another refund meanwhile: more than was paid has then gone back, which a
    person must settle with the platform; the bill shows it as a difference.
    """
    payment = Payment.objects.select_for_update().get(pk=refund.payment_id)
    left = payment.amount_minor - payment.refund_reserved_minor
    if left < refund.amount_minor:
        ours = Money(left, refund.currency)
        theirs = Money(refund.amount_minor, refund.currency)
        raise ResultMismatch("left to refund", ours=ours.to_yuan(), theirs=theirs.to_yuan())
    if Refund.objects.filter(pk=refund.pk, state=RefundState.FAILED).update(
        state=RefundState.PROCESSING
    ):
        payment.refund_reserved_minor += refund.amount_minor
        payment.save(update_fields=["refund_reserved_minor"])


def _succeed(refund: Refund, result: RefundResult, *, now: datetime) -> bool:
    refunded_at = result.refunded_at or now
    booked = booking_date(at=refunded_at)
    if refund.state == RefundState.FAILED:
        _reserve_again(refund)
    changed = Refund.objects.filter(pk=refund.pk, state__in=UNDER_WAY).update(
        state=RefundState.SUCCEEDED,
        platform_refund_no=result.platform_refund_no or refund.platform_refund_no,
        accepted_at=refund.accepted_at or refunded_at,
        refunded_at=refunded_at,
        booked_date=booked,
        code_text=result.code[:64],
        message="",
    )
    if not changed:
        return False
    Payment.objects.filter(pk=refund.payment_id).update(
        refunded_minor=F("refunded_minor") + refund.amount_minor
    )
    amount = Money(refund.amount_minor, refund.currency)
    fee = Money(refund.fee_minor, refund.currency)
    post(
        kind=entry_kind("refund", refund.pk, code_text=refund.code_text),
        subject_kind="refund",
        subject_id=refund.pk,
        at=refunded_at,
        booked_date=booked,
        memo=refund.refund_no,
        lines=[
            Line(purpose=Purpose.REFUNDS, amount=amount),
            Line(purpose=Purpose.FEES, amount=-fee),
            Line(purpose=Purpose.RECEIVABLE, amount=fee - amount, subject_id=refund.account_id),
        ],
    )
    return True


def _move(refund: Refund, result: RefundResult, *, now: datetime) -> RefundState | None:
    """Apply a word that is not success; the new state, or None if nothing changed."""
    rows = Refund.objects.filter(pk=refund.pk)
    words = {"code_text": result.code[:64], "message": result.message[:300]}
    if result.outcome is Outcome.PENDING:
        state = _pending_state(result)
        changed = (
            rows.filter(state__in=UNDER_WAY)
            .exclude(state=state)
            .update(
                state=state,
                accepted_at=refund.accepted_at or now,
                platform_refund_no=result.platform_refund_no or refund.platform_refund_no,
                **words,
            )
        )
        return state if changed else None
    if result.outcome is Outcome.UNKNOWN:
        changed = rows.filter(state__in=[RefundState.READY, RefundState.QUEUED]).update(
            state=RefundState.UNKNOWN, **words
        )
        return RefundState.UNKNOWN if changed else None
    changed = rows.filter(state__in=UNDER_WAY).update(state=RefundState.FAILED, **words)
    if not changed:
        return None
    give_back_reserve(refund)
    if refund.is_automatic:
        _ask_back_again(refund, now=now)
    return RefundState.FAILED


def _ask_back_again(refund: Refund, *, now: datetime) -> None:
    """What was paid twice is owed whatever the platform says: have it looked at once more."""
    automatic = Refund.objects.filter(payment_id=refund.payment_id, is_automatic=True)
    wait = asked_back_again(automatic.filter(state=RefundState.FAILED).count())
    if wait is not None:
        outbox.enqueue(
            task="refunds.refund_duplicate",
            merchant_id=refund.merchant_id,
            subject_id=refund.payment_id,
            due_at=now + wait,
        )


@transaction.atomic
def apply_refund_result(
    *, refund_id: int, result: RefundResult, via: str, now: datetime, actor: Actor
) -> bool:
    """Move a refund to what the platform says, once; True if anything changed.

    Success posts to the ledger and counts on the payment in the same transaction; failure gives the reserved amount
    back. Raises ResultMismatch, Refund.DoesNotExist.
    """
    refund = Refund.objects.select_related("payment__order").get(pk=refund_id)
    _check(refund, result)
    if result.assumes is not None and refunded_before(refund) != result.assumes:
        # Another refund has moved since this one was asked about, perhaps one of the same size: the sums tell nothing.
        return False
    if result.outcome is Outcome.SUCCEEDED:
        state = RefundState.SUCCEEDED if _succeed(refund, result, now=now) else None
    else:
        state = _move(refund, result, now=now)
    if state is None:
        return False
    if state in {RefundState.SUCCEEDED, RefundState.FAILED}:
        outbox.forget(task="refunds.poll", merchant_id=refund.merchant_id, subject_id=refund.pk)
        outbox.forget(task="refunds.send", merchant_id=refund.merchant_id, subject_id=refund.pk)
    record_step(
        refund,
        f"refund.{state}",
        actor=actor,
        now=now,
        via=via,
        code=result.code,
        message=result.message[:200],
        platform_refund_no=result.platform_refund_no or "",
    )
    return True


@transaction.atomic
def queue_refund(*, refund_id: int, code: str, message: str, now: datetime, actor: Actor) -> None:
    """The platform's balance was too low: the same refund is sent again later, under the same number."""
    changed = Refund.objects.filter(
        pk=refund_id, state__in=[RefundState.READY, RefundState.UNKNOWN]
    ).update(state=RefundState.QUEUED, code_text=code[:64], message=message[:300])
    if changed:
        refund = Refund.objects.select_related("payment__order").get(pk=refund_id)
        # Whoever watches the balance need not wait for the hour.
        outbox.enqueue(
            task="statements.watch_balance",
            merchant_id=refund.merchant_id,
            subject_id=refund.account_id,
            due_at=now,
        )
        record_step(refund, "refund.queued", actor=actor, now=now, code=code, message=message[:200])
