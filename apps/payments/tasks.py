"""What the payments' dues do."""

from __future__ import annotations

from datetime import datetime

from apps.core.tasks import due_task
from apps.payments import services


@due_task("payments.poll")
def poll(subject_id: int, now: datetime) -> datetime | None:
    """One look at an open payment."""
    return services.poll_payment(payment_id=subject_id, now=now)


@due_task("payments.expire_order")
def expire_order(subject_id: int, now: datetime) -> datetime | None:
    """Close an order past its time."""
    return services.expire_order(order_id=subject_id, now=now)
