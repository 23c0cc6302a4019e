"""Refunds that reach their outcome."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from apps.simulator import notifications
from apps.simulator.models import NoticeKind, Order, Refund, RefundState


def finish_refund(refund: Refund, *, at: datetime) -> bool:
    """Move one refund to its outcome and queue the notice; False if another did it before."""
    moved = Refund.objects.filter(pk=refund.pk, state=RefundState.PROCESSING).update(
        state=refund.outcome, finished_at=at
    )
    if not moved:
        return False
    refund.refresh_from_db()
    notifications.enqueue(order=refund.order, refund=refund, kind=NoticeKind.REFUNDED, now=at)
    return True


def settle_due(*, now: datetime, order: Order | None = None, at: datetime | None = None) -> int:
    """Finish the refunds that are due (of one order, or all); returns how many.

    They count as finished at their due time, or at ``at`` when given.
    """
    due = Refund.objects.filter(state=RefundState.PROCESSING, finish_at__lte=now)
    if order is not None:
        due = due.filter(order=order)
    finished = 0
    for refund in due.select_related("order__merchant").order_by("finish_at")[:500]:
        with transaction.atomic():
            finished += finish_refund(refund, at=at or refund.finish_at or now)
    return finished
