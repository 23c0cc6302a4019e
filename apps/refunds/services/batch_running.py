"""A batch's refunds, made in portions: each row in a transaction of its own, under the payment's lock and by its own number."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Final

from django.db import DatabaseError, transaction

from apps.core import sql
from apps.core.audit import Actor
from apps.core.money import Money
from apps.payments.models import Payment
from apps.refunds.models import (
    BatchRowState,
    BatchState,
    Refund,
    RefundBatch,
    RefundBatchRow,
    RefundState,
)
from apps.refunds.services.batches import batch_digest, hold_batch, move_batch, record_batch
from apps.refunds.services.requesting import (
    Cover,
    NeedsMore,
    NotRefundable,
    OverRefund,
    request_refund,
)

#: So many refunds of a batch wait at most to be sent: stopping it keeps the others from being made at all.
PORTION: Final = 50
#: How long until the next portion.
PAUSE: Final = timedelta(seconds=2)

SYSTEM = Actor.system("batch")
logger = logging.getLogger(__name__)


class ChangedAfterYes(Exception):
    """The list of a confirmed batch is not the one that was confirmed: nothing of it is done."""


def run_batch(*, batch_id: int, now: datetime) -> datetime | None:
    """Make the next portion of a running batch; when to go on, or None where there is nothing more to do.

    Harmless to repeat and to do twice at once: a row is done under its lock, and its number finds the refund that a killed
    worker had made. Raises ChangedAfterYes.
    """
    batch = RefundBatch.objects.select_related("approval", "requested_by").get(pk=batch_id)
    if batch.state != BatchState.RUNNING:
        return None
    if batch.approval is not None and batch_digest(batch) != bytes(batch.approval.digest):
        raise ChangedAfterYes(f"batch {batch_id} is not what was confirmed")
    for _ in range(PORTION - _unsent(batch)):
        if not _make_next(batch, now=now):
            break
    if RefundBatchRow.objects.filter(batch=batch, state=BatchRowState.PLANNED).exists():
        return now + PAUSE
    _finish(batch_id, now=now)
    return None


def _unsent(batch: RefundBatch) -> int:
    made = RefundBatchRow.objects.filter(batch=batch, state=BatchRowState.MADE)
    waiting = Refund.objects.filter(
        pk__in=made.values("refund"), state=RefundState.READY, tried_at__isnull=True
    )
    return int(waiting.count())


def _make_next(batch: RefundBatch, *, now: datetime) -> bool:
    """Do the next row that no other worker is busy with; whether there was one and the batch still runs."""
    with transaction.atomic():
        # Whoever stops the batch waits for this row, and afterwards no other is begun.
        running = sql.first(
            "SELECT state = 'running' FROM refunds_refundbatch WHERE merchant_id = %s AND id = %s FOR SHARE",
            [batch.merchant_id, batch.pk],
        )
        if running != (True,):
            return False
        row: RefundBatchRow | None = (
            RefundBatchRow.objects.select_for_update(of=("self",), skip_locked=True)
            .filter(batch=batch, state=BatchRowState.PLANNED)
            .order_by("pk")
            .first()
        )
        if row is None:
            return False
        if _paid_out_late(row):
            row.state, row.problem = BatchRowState.MADE, ""
            row.save(update_fields=["state", "problem"])
            return True
        try:
            with transaction.atomic():
                refund = _refund(batch, row, now=now)
        except OverRefund:
            row.state, row.problem = BatchRowState.REFUSED, "left"
        except NeedsMore:
            row.state, row.problem = BatchRowState.REFUSED, "needs_more"
        except NotRefundable as refused:
            row.state, row.problem = BatchRowState.REFUSED, refused.reason[:24]
        except DatabaseError:
            # Of the machinery, not of the row: the task is tried again.
            raise
        except Exception:
            logger.exception("row %s of batch %s could not be made", row.pk, batch.pk)
            row.state, row.problem = BatchRowState.REFUSED, "fault"
        else:
            refused_by_rules = refund.state == RefundState.REJECTED
            row.refund = refund
            row.state = BatchRowState.REFUSED if refused_by_rules else BatchRowState.MADE
            row.problem = "rules" if refused_by_rules else ""
        row.save(update_fields=["state", "problem", "refund"])
    return True


def _paid_out_late(row: RefundBatchRow) -> bool:
    """Whether the refund that had failed, for which another is to be made, went out after all. Holds the payment, as results do."""
    if row.refund_id is None:
        return False
    list(Payment.objects.select_for_update(of=("self",)).filter(pk=row.payment_id))
    ended = {RefundState.FAILED, RefundState.REJECTED, RefundState.CANCELLED}
    return not Refund.objects.filter(pk=row.refund_id, state__in=ended).exists()


def _refund(batch: RefundBatch, row: RefundBatchRow, *, now: datetime) -> Refund:
    return request_refund(
        payment_id=row.payment_id,
        amount=Money(row.amount_minor),
        reason=batch.reason,
        reason_code=batch.reason_code,
        member=batch.requested_by,
        actor=Actor(batch.requested_by.email, batch.requested_by_id),
        now=now,
        refund_no=row.refund_no,
        cover=Cover(
            batch_id=batch.pk,
            approval=batch.approval,
            confirmations=batch.confirmations,
            permission=batch.permission,
        ),
    )


@transaction.atomic
def _finish(batch_id: int, *, now: datetime) -> None:
    batch = hold_batch(batch_id)
    left = RefundBatchRow.objects.filter(batch=batch, state=BatchRowState.PLANNED).exists()
    if batch.state == BatchState.RUNNING and not left:
        move_batch(batch, BatchState.DONE, now=now)
        record_batch(batch, "refund_batch.done", actor=SYSTEM, now=now)
