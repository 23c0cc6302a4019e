"""Matching by itself, as soon as a bill is there."""

from __future__ import annotations

from datetime import datetime

from apps.core.audit import Actor
from apps.core.tasks import due_task
from apps.reconciliation import services
from apps.statements.models import StatementDay


@due_task("reconciliation.run")
def run(subject_id: int, now: datetime) -> datetime | None:
    """Match the bill of one expected day."""
    expected = StatementDay.objects.get(pk=subject_id)
    services.reconcile(
        account_id=expected.account_id,
        day=expected.day,
        run_by=None,
        actor=Actor.system("reconciliation"),
        now=now,
    )
    return None
