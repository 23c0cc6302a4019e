"""Work of this room that is due at a time."""

from __future__ import annotations

from datetime import datetime

from celery import shared_task

from apps.core import clock
from apps.core.tasks import due_task
from apps.reports import services


@due_task(services.WATCH)
def watch_codes(subject_id: int, now: datetime) -> datetime | None:
    """Look at one merchant's codes for odd use."""
    services.watch_codes(now=now)
    return None


@shared_task(name="reports.plan_watching", ignore_result=True)
def plan_watching() -> None:
    """Have every merchant's codes looked at."""
    services.plan_watching(now=clock.now())
