"""What the refunds' dues do."""

from __future__ import annotations

from datetime import datetime

from apps.core.tasks import due_task
from apps.refunds import services


@due_task("refunds.send")
def send(subject_id: int, now: datetime) -> datetime | None:
    """Send a refund that may be sent."""
    return services.send_refund(refund_id=subject_id, now=now)


@due_task("refunds.poll")
def poll(subject_id: int, now: datetime) -> datetime | None:
    """One look at a refund under way."""
    return services.poll_refund(refund_id=subject_id, now=now)
