"""What the payments' dues do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from apps.core.outbox import Claim, Ended
from apps.core.tasks import due_batch, due_task
from apps.payments import services


@due_batch("payments.poll")
def poll(claims: Sequence[Claim], now: datetime) -> Iterable[Sequence[Ended]]:
    """One look at each of many open payments."""
    return services.poll_payments(claims, now=now)


@due_task("payments.expire_order")
def expire_order(subject_id: int, now: datetime) -> datetime | None:
    """Close an order past its time."""
    return services.expire_order(order_id=subject_id, now=now)
