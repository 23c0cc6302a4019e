"""Taking back what was believed of a bill about a refund."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.db.models import F

from apps.core.audit import Actor
from apps.core.money import Money
from apps.ledger.models import JournalEntry, Purpose
from apps.ledger.services import Line, claim_day, post
from apps.payments.models import Payment
from apps.payments.services import TAKEN_BACK, NotTakenBack
from apps.refunds.models import Refund, RefundState
from apps.refunds.services.requesting import (
    give_back_reserve,
    record_step,
)


@transaction.atomic
def take_back_refund(*, refund_id: int, reason: str, actor: Actor, now: datetime) -> Refund:
    """A refund is no longer taken for done: failed, its amount free again, its entry undone on the same day.

    Raises NotTakenBack (``"not_paid"``, ``"closed"``) and leaves all as it was, Refund.DoesNotExist.
    """
    found = Refund.objects.only("payment_id").get(pk=refund_id)
    # The payment's row first, as where refunds are asked for.
    Payment.objects.select_for_update().get(pk=found.payment_id)
    refund: Refund = (
        Refund.objects.select_related("payment__order")
        .select_for_update(of=("self",))
        .get(pk=refund_id)
    )
    if refund.state != RefundState.SUCCEEDED or refund.booked_date is None:
        raise NotTakenBack("not_paid")
    if not claim_day(refund.booked_date):
        raise NotTakenBack("closed")
    amount = Money(refund.amount_minor, refund.currency)
    fee = Money(refund.fee_minor, refund.currency)
    number = JournalEntry.objects.filter(subject_kind="refund", subject_id=refund.pk).count()
    post(
        kind=f"refund.undone{number}",
        subject_kind="refund",
        subject_id=refund.pk,
        at=refund.refunded_at or now,
        booked_date=refund.booked_date,
        memo=refund.refund_no,
        lines=[
            Line(purpose=Purpose.REFUNDS, amount=-amount),
            Line(purpose=Purpose.FEES, amount=fee),
            Line(purpose=Purpose.RECEIVABLE, amount=amount - fee, subject_id=refund.account_id),
        ],
    )
    booked = refund.booked_date
    Refund.objects.filter(pk=refund.pk).update(
        state=RefundState.FAILED,
        code_text=TAKEN_BACK,
        message=reason[:300],
        accepted_at=None,
        refunded_at=None,
        booked_date=None,
    )
    Payment.objects.filter(pk=refund.payment_id).update(
        refunded_minor=F("refunded_minor") - refund.amount_minor
    )
    give_back_reserve(refund)
    record_step(
        refund,
        "refund.taken_back",
        actor=actor,
        now=now,
        reason=reason[:200],
        booked_date=booked.isoformat(),
    )
    refund.refresh_from_db()
    return refund
