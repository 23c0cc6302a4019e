"""Later work of this room."""

from __future__ import annotations

from datetime import datetime

from celery import shared_task

from apps.core import clock
from apps.core.audit import Actor
from apps.core.tasks import due_task
from apps.core.tenancy import Scope, enter_scope
from apps.platforms import services
from apps.platforms.models import NotificationState


class NotAppliedYet(Exception):
    """The stored notification still cannot be applied; the outbox tries again later."""


@due_task("platforms.reprocess_notification")
def reprocess_notification(subject_id: int, now: datetime) -> datetime | None:
    """Try a stored notification again, until it is settled or its body has expired."""
    try:
        row = services.reprocess_notification(
            notification_id=subject_id, now=now, actor=Actor.system("notification")
        )
    except (services.BodyExpired, services.NotificationNotFound):
        return None
    if row.state == NotificationState.FAILED:
        raise NotAppliedYet(row.detail)
    return None


@shared_task(name="platforms.expire_bodies", ignore_result=True)
def expire_bodies() -> None:
    """Forget raw notification bodies that were kept long enough, merchant by merchant. For a nightly beat."""
    now = clock.now()
    for merchant_id in services.merchants_with_accounts():
        with enter_scope(Scope(merchant_id)):
            services.expire_bodies(now=now)
