"""What the refunds' dues do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from apps.core.outbox import Claim, Ended
from apps.core.tasks import due_batch, due_task
from apps.refunds import services


@due_task("refunds.send")
def send(subject_id: int, now: datetime) -> datetime | None:
    """Send a refund that may be sent."""
    return services.send_refund(refund_id=subject_id, now=now)


@due_batch("refunds.poll")
def poll(claims: Sequence[Claim], now: datetime) -> Iterable[Sequence[Ended]]:
    """One look at each of many refunds under way."""
    return services.poll_refunds(claims, now=now)


@due_task("refunds.refund_duplicate")
def refund_duplicate(subject_id: int, now: datetime) -> datetime | None:
    """Give back what was paid twice."""
    return services.refund_duplicate(payment_id=subject_id, now=now)


@due_task("refunds.forget_contact")
def forget_contact(subject_id: int, now: datetime) -> datetime | None:
    """A customer's contact has been kept long enough."""
    services.forget_contact(request_id=subject_id)
    return None


@due_task("refunds.batch")
def batch(subject_id: int, now: datetime) -> datetime | None:
    """Make the next refunds of a batch."""
    return services.run_batch(batch_id=subject_id, now=now)
