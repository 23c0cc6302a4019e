"""What happens to an approval by itself."""

from __future__ import annotations

from datetime import datetime

from apps.approvals import services
from apps.core.tasks import due_task


@due_task("approvals.expire")
def expire(subject_id: int, now: datetime) -> datetime | None:
    """Nobody decided in time."""
    return services.expire(approval_id=subject_id, now=now)


@due_task("approvals.notify")
def notify(subject_id: int, now: datetime) -> datetime | None:
    """Mail those who may confirm."""
    services.deliver_request(approval_id=subject_id, now=now)
    return None


@due_task("approvals.remind")
def remind(subject_id: int, now: datetime) -> datetime | None:
    """Tell those who may confirm once more."""
    services.remind(approval_id=subject_id, now=now)
    return None


@due_task("approvals.escalate")
def escalate(subject_id: int, now: datetime) -> datetime | None:
    """Tell owners and managers that nobody has confirmed."""
    services.escalate(approval_id=subject_id, now=now)
    return None


@due_task("approvals.cool")
def cool(subject_id: int, now: datetime) -> datetime | None:
    """Carry out what a shop of one person asked for, when the delay is over."""
    return services.finish_cooling(approval_id=subject_id, now=now)


@due_task("approvals.mail")
def send_mail(subject_id: int, now: datetime) -> datetime | None:
    """Send one member's mail of a reminder, an escalation or a delay."""
    return services.send_mail(mail_id=subject_id, now=now)


@due_task("approvals.terms_mail")
def send_terms(subject_id: int, now: datetime) -> datetime | None:
    """Tell the owners that looser terms are about to hold."""
    services.deliver_terms(terms_id=subject_id, now=now)
    return None
