"""Ticks of beat."""

from __future__ import annotations

from celery import shared_task

from apps.core import clock
from apps.operations import health


@shared_task(name="operations.heartbeat", ignore_result=True)
def heartbeat() -> None:
    """Prove that beat ticks and a worker answers."""
    health.beat_now(now=clock.now())
