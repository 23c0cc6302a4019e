"""What merchants do later: sending invitations."""

from __future__ import annotations

from datetime import datetime

from apps.core.tasks import due_task
from apps.merchants.services import deliver_invitation


@due_task("merchants.send_invitation")
def send_invitation(subject_id: int, now: datetime) -> datetime | None:
    """Send one invitation's mail; nothing when it was withdrawn meanwhile."""
    deliver_invitation(invitation_id=subject_id, now=now)
    return None
