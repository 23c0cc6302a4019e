"""Due work in PostgreSQL: enqueued with the change that causes it, claimed by workers, done at least once.

The broker only carries the message "look at this row now", or "look at this kind of rows now". Whatever it loses, the rows
are claimed again when their lease ends, so each handler may run twice and must not mind.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection

from apps.core import sql
from apps.core.models import Due

#: How long a worker may hold a row before another takes it for lost.
LEASE = timedelta(seconds=90)
#: Downloading and matching a large bill takes longer than asking a question.
LONG_LEASE = timedelta(minutes=15)
LONG_TASKS = (
    "statements.fetch",
    "statements.sweep",
    "reconciliation.run",
    "reconciliation.write_day_files",
)
#: Waits after the first, second, … failure; the last repeats.
BACKOFF_SECONDS = (5, 15, 60, 300, 900, 3600)

_ENQUEUE = """
INSERT INTO core_due (task, merchant_id, subject_id, due_at, revision, attempts) {asked}
ON CONFLICT (task, merchant_id, subject_id) DO UPDATE SET
    due_at = CASE WHEN core_due.claimed_until IS NULL
                  THEN LEAST(core_due.due_at, excluded.due_at) ELSE excluded.due_at END,
    revision = core_due.revision + 1
"""
_FOUND = "SELECT found.*, 1, 0 FROM ({found}) AS found"
_ENQUEUE_ONE = _ENQUEUE.format(
    asked="VALUES (%(task)s, %(merchant_id)s, %(subject_id)s, %(due_at)s, 1, 0)"
)

#: What ``forget`` runs, for statements written by hand that end with it.
FORGET = """
DELETE FROM core_due WHERE task = %(task)s AND merchant_id = %(merchant_id)s AND subject_id = %(subject_id)s
"""
_FORGET_ALL = "DELETE FROM core_due WHERE {each}"
_FORGOTTEN = "(task = %s AND merchant_id = %s AND subject_id = %s)"

#: The kinds of work that wait, by leaping from one to the next in the index: the same cost for ten rows and ten million.
_KINDS = """
WITH RECURSIVE kinds AS (
    (SELECT task FROM core_due ORDER BY task LIMIT 1)
    UNION ALL
    SELECT (SELECT task FROM core_due WHERE task > kinds.task ORDER BY task LIMIT 1)
    FROM kinds WHERE kinds.task IS NOT NULL
)
SELECT task FROM kinds WHERE task IS NOT NULL AND task <> ALL(%(without)s)
"""

#: For each kind the index (task, due_at, id) is read from its beginning, so what is not due yet costs nothing. The rows
#: are found by their place (ctid): with any other way the planner may read the whole table.
_CLAIM = """
UPDATE core_due SET attempts = attempts + 1,
    claimed_until = CASE WHEN task = ANY(%(long)s) THEN %(long_until)s ELSE %(until)s END
WHERE ctid = ANY(ARRAY(
    SELECT due.place FROM unnest(%(tasks)s::text[]) AS wanted (task)
    CROSS JOIN LATERAL (
        SELECT ctid AS place, due_at, id FROM core_due
        WHERE task = wanted.task AND due_at <= %(now)s
          AND (claimed_until IS NULL OR claimed_until <= %(now)s)
        ORDER BY due_at, id LIMIT %(limit)s
        FOR UPDATE SKIP LOCKED
    ) AS due
    ORDER BY due.due_at, due.id LIMIT %(limit)s
))
RETURNING id, task, merchant_id, subject_id, revision, attempts
"""

_WAITS = """
SELECT EXISTS (
    SELECT FROM core_due WHERE task = %(task)s AND due_at <= %(now)s
      AND (claimed_until IS NULL OR claimed_until <= %(now)s)
)
"""

_REMOVE = """
WITH mine AS MATERIALIZED (
    SELECT due.id FROM core_due AS due
    JOIN unnest(%(ids)s::bigint[], %(revisions)s::int[]) AS ended (id, revision)
      ON ended.id = due.id AND ended.revision = due.revision
    FOR UPDATE OF due {how}
)
DELETE FROM core_due USING mine WHERE core_due.id = mine.id RETURNING core_due.id
"""

_RELEASE = """
WITH mine AS MATERIALIZED (
    SELECT due.id, due.revision = ended.revision AND ended.next_at IS NOT NULL AS moves,
           ended.next_at, ended.failed, ended.reason
    FROM core_due AS due
    JOIN unnest(%(ids)s::bigint[], %(revisions)s::int[], %(times)s::timestamptz[], %(failures)s::bool[],
                %(reasons)s::text[]) AS ended (id, revision, next_at, failed, reason) ON ended.id = due.id
    FOR UPDATE OF due {how}
)
UPDATE core_due SET
    due_at = CASE WHEN mine.moves THEN mine.next_at ELSE core_due.due_at END,
    claimed_until = NULL,
    attempts = CASE WHEN mine.failed THEN core_due.attempts ELSE 0 END,
    last_error = mine.reason
FROM mine WHERE core_due.id = mine.id RETURNING core_due.id
"""


class PutOff(Exception):
    """A due task cannot be done before ``until``; ``reason`` as for ``Ended``. It did not fail."""

    def __init__(self, *, until: datetime, reason: str) -> None:
        super().__init__(reason)
        self.until = until
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Claim:
    """A due row held by one worker until its lease ends."""

    due_id: int
    task: str
    merchant_id: int
    subject_id: int
    revision: int
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What became of a claim: the row is removed (no ``next_at``) or waits until then.

    ``reason``: a stable word for why it waits, which pages put into words; ``failed``: the series of failures goes on.
    """

    claim: Claim
    next_at: datetime | None
    reason: str = ""
    failed: bool = False


def enqueue(*, task: str, merchant_id: int, subject_id: int, due_at: datetime) -> None:
    """Ask for ``task`` on ``subject_id`` at ``due_at``. Asking again moves a waiting row to the earlier time."""
    sql.run(
        _ENQUEUE_ONE,
        {"task": task, "merchant_id": merchant_id, "subject_id": subject_id, "due_at": due_at},
    )


def enqueuing(found: str) -> str:
    """The statement that asks as ``enqueue`` does for what a query finds: for statements written by hand.

    ``found`` is a SELECT of task, merchant, subject and time, no subject twice.
    """
    return _ENQUEUE.format(asked=_FOUND.format(found=found))


def claim(
    *,
    now: datetime,
    limit: int,
    task: str | None = None,
    without: Collection[str] = (),
    lease: timedelta = LEASE,
) -> list[Claim]:
    """Take up to ``limit`` due rows that nobody holds; rows locked by another claimer are skipped, not waited for.

    Of one ``task``, or of all but those in ``without``. The cost depends on ``limit`` and not on how many rows wait.
    """
    with connection.cursor() as cursor:
        if task is None:
            cursor.execute(_KINDS, {"without": list(without)})
            tasks = [kind for (kind,) in cursor.fetchall()]
        else:
            tasks = [task]
        if not tasks:
            return []
        cursor.execute(
            _CLAIM,
            {
                "now": now,
                "until": now + lease,
                "long": list(LONG_TASKS),
                "long_until": now + max(lease, LONG_LEASE),
                "limit": limit,
                "tasks": tasks,
            },
        )
        rows = cursor.fetchall()
    return [Claim(*row) for row in rows]


def waits(*, task: str, now: datetime) -> bool:
    """Whether any row of ``task`` is due and nobody holds it."""
    with connection.cursor() as cursor:
        cursor.execute(_WAITS, {"task": task, "now": now})
        return bool(cursor.fetchone()[0])


def finish(claim: Claim, *, next_at: datetime | None) -> None:
    """End a claim: remove the row, or wait until ``next_at``. Work enqueued meanwhile stays due."""
    settle([Ended(claim=claim, next_at=next_at)])


def fail(claim: Claim, *, now: datetime, error: str) -> None:
    """End a claim after an error: try again later, waiting longer each time, and keep the reason for the jobs page.

    What was asked for meanwhile keeps its own time.
    """
    settle([failed(claim, now=now, error=error)])


def failed(claim: Claim, *, now: datetime, error: str) -> Ended:
    """How a claim ends that met an error: see ``fail``."""
    wait = BACKOFF_SECONDS[min(claim.attempts, len(BACKOFF_SECONDS)) - 1]
    return Ended(claim=claim, next_at=now + timedelta(seconds=wait), reason=error, failed=True)


def settle(group: Sequence[Ended]) -> None:
    """End many claims with as few statements as one. Work enqueued meanwhile stays due.

    Rows that somebody else is just changing are waited for one by one and at the end: whoever holds one row while waiting
    for another could wait for somebody who waits for the first.
    """
    open_ends = {end.claim.due_id: end for end in group}
    over = [end for end in group if end.next_at is None]
    for due_id in _remove(over, how="SKIP LOCKED"):
        del open_ends[due_id]
    for due_id in _release([end for end in group if end.next_at is not None], how="SKIP LOCKED"):
        del open_ends[due_id]
    if not open_ends:
        return
    # Removed by others, asked for again meanwhile, or locked.
    left = Due.objects.filter(pk__in=open_ends).values_list("pk", flat=True)
    for due_id in left:
        end = open_ends[due_id]
        if end.next_at is not None or not _remove([end], how=""):
            _release([end], how="")


def _remove(group: Sequence[Ended], *, how: str) -> list[int]:
    if not group:
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            _REMOVE.format(how=how),
            {
                "ids": [end.claim.due_id for end in group],
                "revisions": [end.claim.revision for end in group],
            },
        )
        return [due_id for (due_id,) in cursor.fetchall()]


def _release(group: Sequence[Ended], *, how: str) -> list[int]:
    if not group:
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            _RELEASE.format(how=how),
            {
                "ids": [end.claim.due_id for end in group],
                "revisions": [end.claim.revision for end in group],
                "times": [end.next_at for end in group],
                "failures": [end.failed for end in group],
                "reasons": [end.reason[:200] for end in group],
            },
        )
        return [due_id for (due_id,) in cursor.fetchall()]


def forget(*, task: str, merchant_id: int, subject_id: int) -> None:
    """The work is no longer needed."""
    sql.run(FORGET, {"task": task, "merchant_id": merchant_id, "subject_id": subject_id})


def forget_all(subjects: Mapping[str, int], *, merchant_id: int) -> None:
    """Each of these tasks is no longer needed for its subject."""
    each = " OR ".join([_FORGOTTEN] * len(subjects))
    values = [value for task, subject in subjects.items() for value in (task, merchant_id, subject)]
    sql.run(_FORGET_ALL.format(each=each), values)


def hasten(*, due_ids: Sequence[int], now: datetime) -> None:
    """What waits for a later time is due now; what a worker is busy with comes once more. Rows being changed are left out."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE core_due SET due_at = CASE WHEN claimed_until IS NULL THEN LEAST(due_at, %(now)s) ELSE %(now)s END,
                revision = revision + 1
            WHERE id = ANY(ARRAY(
                SELECT id FROM core_due WHERE id = ANY(%(ids)s) FOR UPDATE SKIP LOCKED
            ))
            """,
            {"ids": list(due_ids), "now": now},
        )


@contextmanager
def turn(*, task: str, places: int) -> Iterator[bool]:
    """Whether fewer than ``places`` workers are busy with ``task``; as long as the block runs one place is ours.

    Locks of the database session: they end with the connection, should the process be killed.
    """
    held = ""
    with connection.cursor() as cursor:
        for place in range(places):
            key = f"turn/{task}/{place}"
            cursor.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", [key])
            if cursor.fetchone()[0]:
                held = key
                break
    try:
        yield bool(held)
    finally:
        if held:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", [held])
