"""What happens to an approval by itself."""

from __future__ import annotations

from datetime import datetime

from apps.approvals.models import ApprovalState
from apps.approvals.services import deliver_request, end_approval
from apps.core.audit import Actor
from apps.core.tasks import due_task


@due_task("approvals.expire")
def expire(subject_id: int, now: datetime) -> datetime | None:
    """Nobody decided in time."""
    end_approval(
        approval_id=subject_id,
        state=ApprovalState.EXPIRED,
        reason="expired",
        actor=Actor.system("approvals"),
        now=now,
    )
    return None


@due_task("approvals.notify")
def notify(subject_id: int, now: datetime) -> datetime | None:
    """Mail those who may confirm."""
    deliver_request(approval_id=subject_id, now=now)
    return None
