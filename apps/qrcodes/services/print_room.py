"""How much of a merchant's print files is kept: the newest, up to a number of jobs and of bytes."""

from __future__ import annotations

from typing import Final

from django.conf import settings

from apps.qrcodes.models import PrintFile, PrintJob, PrintState

#: Finished jobs whose files are kept.
MOST_KEPT: Final = 20


def kept_bytes() -> int:
    """The most bytes of print files that are kept for one merchant; no job is larger."""
    return int(settings.PRINT_KEPT_BYTES)


def make_room(*, newest: PrintJob) -> bool:
    """Let the oldest finished jobs' files go until the others fit beside ``newest``; False where what is being drawn does not fit
    even alone, and nothing went. Inside a transaction.

    The jobs stay for their week, to say what became of their files.
    """
    jobs = PrintJob.objects.filter(state__in=[PrintState.RUNNING, PrintState.READY])
    rows = list(jobs.exclude(pk=newest.pk).order_by("-pk").values_list("pk", "state", "size"))
    used = newest.size + sum(size for _id, state, size in rows if state == PrintState.RUNNING)
    if used > kept_bytes():
        return False
    over: list[int] = []
    ready = [(job_id, size) for job_id, state, size in rows if state == PrintState.READY]
    for kept, (job_id, size) in enumerate(ready, start=2):
        used += size
        if used > kept_bytes() or kept > MOST_KEPT:
            over.append(job_id)
    if over:
        # In the order of their ids, as another worker would that makes room at the same moment.
        held = PrintJob.objects.filter(pk__in=over, state=PrintState.READY).order_by("pk")
        gone = list(held.select_for_update(no_key=True).values_list("pk", flat=True))
        PrintFile.objects.filter(job_id__in=gone).delete()
        PrintJob.objects.filter(pk__in=gone).update(state=PrintState.GONE, size=0)
    return True
