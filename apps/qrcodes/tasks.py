"""Work about codes that is due at a time."""

from __future__ import annotations

from datetime import datetime

from apps.core.tasks import due_task
from apps.qrcodes import services


@due_task(services.APPLY)
def apply_version(subject_id: int, now: datetime) -> datetime | None:
    """A planned change of a code begins: its row follows."""
    return services.apply_version(code_id=subject_id, now=now)


@due_task(services.DRAW)
def draw_prints(subject_id: int, now: datetime) -> datetime | None:
    """Some seconds' worth of files for a print shop."""
    return services.draw_prints(job_id=subject_id, now=now)


@due_task(services.FORGET)
def forget_prints(subject_id: int, now: datetime) -> None:
    """A print job's week is over: its files go."""
    del now
    services.forget_print(job_id=subject_id)
