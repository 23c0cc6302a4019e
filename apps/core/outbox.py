"""Due work in PostgreSQL: enqueued with the change that causes it, claimed by workers, done at least once.

The broker only carries the message "look at this row now". Whatever it loses, the row is claimed again when its lease
ends, so each handler may run twice and must not mind.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection

from apps.core.models import Due

#: How long a worker may hold a row before another takes it for lost.
LEASE = timedelta(seconds=90)
#: Downloading and matching a large bill takes longer than asking a question.
LONG_LEASE = timedelta(minutes=15)
LONG_TASKS = ("statements.fetch", "reconciliation.run")
#: Waits after the first, second, … failure; the last repeats.
BACKOFF_SECONDS = (5, 15, 60, 300, 900, 3600)


@dataclass(frozen=True, slots=True)
class Claim:
    """A due row held by one worker until its lease ends."""

    due_id: int
    task: str
    merchant_id: int
    subject_id: int
    revision: int
    attempts: int


def enqueue(*, task: str, merchant_id: int, subject_id: int, due_at: datetime) -> None:
    """Ask for ``task`` on ``subject_id`` at ``due_at``. Asking again moves a waiting row to the earlier time."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO core_due (task, merchant_id, subject_id, due_at, revision, attempts)
            VALUES (%s, %s, %s, %s, 1, 0)
            ON CONFLICT (task, merchant_id, subject_id) DO UPDATE SET
                due_at = CASE WHEN core_due.claimed_until IS NULL
                              THEN LEAST(core_due.due_at, excluded.due_at) ELSE excluded.due_at END,
                revision = core_due.revision + 1
            """,
            [task, merchant_id, subject_id, due_at],
        )


def claim(
    *, now: datetime, limit: int, task: str | None = None, lease: timedelta = LEASE
) -> list[Claim]:
    """Take up to ``limit`` due rows that nobody holds; rows locked by another claimer are skipped, not waited for."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE core_due SET attempts = attempts + 1,
                claimed_until = CASE WHEN task = ANY(%(long)s) THEN %(long_until)s ELSE %(until)s END
            WHERE id IN (
                SELECT id FROM core_due
                WHERE due_at <= %(now)s AND (claimed_until IS NULL OR claimed_until <= %(now)s)
                  AND (%(task)s::text IS NULL OR task = %(task)s)
                ORDER BY due_at, id LIMIT %(limit)s
                FOR UPDATE SKIP LOCKED
            )
            RETURNING id, task, merchant_id, subject_id, revision, attempts
            """,
            {
                "now": now,
                "until": now + lease,
                "long": list(LONG_TASKS),
                "long_until": now + max(lease, LONG_LEASE),
                "limit": limit,
                "task": task,
            },
        )
        rows = cursor.fetchall()
    return [Claim(*row) for row in rows]


def finish(claim: Claim, *, next_at: datetime | None) -> None:
    """End a claim: remove the row, or wait until ``next_at``. Work enqueued meanwhile stays due."""
    mine = Due.objects.filter(pk=claim.due_id, revision=claim.revision)
    if next_at is None:
        changed = mine.delete()[0]
    else:
        # A good run ends the series: otherwise the tenth poll's first failure would wait an hour.
        changed = mine.update(due_at=next_at, claimed_until=None, attempts=0, last_error="")
    if not changed:
        Due.objects.filter(pk=claim.due_id).update(claimed_until=None, attempts=0)


def fail(claim: Claim, *, now: datetime, error: str) -> None:
    """End a claim after an error: try again later, waiting longer each time, and keep the reason for the jobs page.

    What was asked for meanwhile keeps its own time.
    """
    wait = BACKOFF_SECONDS[min(claim.attempts, len(BACKOFF_SECONDS)) - 1]
    row = Due.objects.filter(pk=claim.due_id)
    row.filter(revision=claim.revision).update(due_at=now + timedelta(seconds=wait))
    row.update(claimed_until=None, last_error=error[:200])


def forget(*, task: str, merchant_id: int, subject_id: int) -> None:
    """The work is no longer needed."""
    Due.objects.filter(task=task, merchant_id=merchant_id, subject_id=subject_id).delete()
