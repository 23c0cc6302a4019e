"""The relay that turns due rows into Celery messages, and the base that every due task runs on.

There are two sorts of due work. A *due task* is done row by row, one message each. A *batch task* is done in rounds: one
message says that something is due, and whoever receives it claims many rows at once and ends them together.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from celery import current_app, shared_task
from django.conf import settings

from apps.core import clock, outbox
from apps.core.outbox import Claim, Ended
from apps.core.tenancy import Scope, enter_scope

logger = logging.getLogger(__name__)

#: Most rows one relay round hands out; the next round comes a second later.
RELAY_LIMIT = 400
#: Most rows of one round of a batch task.
ROUND_LIMIT = 1000
#: Seconds for which one message goes on with further rounds; then other work has its turn.
ROUNDS_SECONDS = 20

Handler = Callable[[int, datetime], datetime | None]
BatchHandler = Callable[[Sequence[Claim], datetime], Iterable[Sequence[Ended]]]
_handlers: dict[str, Handler] = {}
_batches: dict[str, BatchHandler] = {}


def due_task(name: str) -> Callable[[Handler], Handler]:
    """Register ``handler(subject_id, now) -> next due time or None`` under ``name``, e.g. ``"refunds.send"``.

    It runs inside the merchant's scope, at least once, possibly twice at a time. An exception means "again later", and
    ``outbox.PutOff`` when.
    """

    def register(handler: Handler) -> Handler:
        _refuse_second(name)
        _handlers[name] = handler
        return handler

    return register


def due_batch(name: str) -> Callable[[BatchHandler], BatchHandler]:
    """Register ``handler(claims, now)`` under ``name``, e.g. ``"payments.poll"``; it yields groups of ended claims.

    The claims are of many merchants: it enters their scopes itself. Each group is settled as soon as it is yielded. What
    was not yielded by the end, or when it raises, counts as failed; what a killed process leaves comes again when its
    lease ends.
    """

    def register(handler: BatchHandler) -> BatchHandler:
        _refuse_second(name)
        _batches[name] = handler
        return handler

    return register


def _refuse_second(name: str) -> None:
    if name in _handlers or name in _batches:
        raise RuntimeError(f"two handlers for {name}")


def registered_tasks() -> frozenset[str]:
    """The names that ``outbox.enqueue`` may use."""
    return frozenset(_handlers) | frozenset(_batches)


def run_claim(claim: Claim, *, now: datetime) -> None:
    """Do one claimed row: enter its scope, call its handler, finish or put it off."""
    handler = _handlers.get(claim.task)
    if handler is None:
        outbox.fail(claim, now=now, error=f"no handler named {claim.task}")
        logger.error("no handler named %s", claim.task)
        return
    try:
        with enter_scope(Scope(claim.merchant_id)):
            next_at = handler(claim.subject_id, now)
    except outbox.PutOff as wait:
        outbox.settle([Ended(claim=claim, next_at=wait.until, reason=wait.reason)])
        return
    except Exception as error:
        # The row is the retry: the failure is kept on it, shown on the jobs page and logged in full.
        logger.exception("due task %s on %s failed", claim.task, claim.subject_id)
        # Its kind only: the row stands outside the wall, and a message may name somebody.
        outbox.fail(claim, now=now, error=type(error).__name__)
        return
    outbox.finish(claim, next_at=next_at)


def run_claims(task: str, claims: Sequence[Claim], *, now: datetime) -> None:
    """Do the claimed rows of one batch task in one round."""
    left = {claim.due_id: claim for claim in claims}
    trouble = "forgotten"
    try:
        for group in _batches[task](claims, now):
            outbox.settle(group)
            for end in group:
                left.pop(end.claim.due_id, None)
    except Exception as error:
        logger.exception("a round of %s failed", task)
        trouble = type(error).__name__
    if left:
        outbox.settle([outbox.failed(one, now=now, error=trouble) for one in left.values()])


@shared_task(name="core.relay_dues", ignore_result=True)
def relay_dues() -> int:
    """Claim what is due and send one message a row, and one for each batch task that has work. Returns how many."""
    now = clock.now()
    waiting = [task for task in _batches if outbox.waits(task=task, now=now)]
    for task in waiting:
        # The next tick asks again, so a message that waits long is worth nothing.
        current_app.send_task("core.run_batch", kwargs={"task": task}, expires=5)
    claims = outbox.claim(now=now, limit=RELAY_LIMIT, without=_batches)
    for claim in claims:
        current_app.send_task(
            "core.run_due",
            kwargs={
                "due_id": claim.due_id,
                "task": claim.task,
                "merchant_id": claim.merchant_id,
                "subject_id": claim.subject_id,
                "revision": claim.revision,
                "attempts": claim.attempts,
            },
            expires=outbox.LEASE.total_seconds(),
        )
    return len(waiting) + len(claims)


@shared_task(name="core.run_due", ignore_result=True)
def run_due(**fields: Any) -> None:
    """Do one claimed row."""
    run_claim(Claim(**fields), now=clock.now())


@shared_task(name="core.run_batch", ignore_result=True)
def run_batch(task: str) -> int:
    """Rounds of a batch task until nothing of it is due, or for a while. Returns how many rows were done.

    At most BATCH_ROUNDS workers are busy with one task: a platform that keeps them waiting must not take them all.
    """
    done = 0
    with outbox.turn(task=task, places=settings.BATCH_ROUNDS) as mine:
        end = time.monotonic() + ROUNDS_SECONDS
        while mine and time.monotonic() < end:
            now = clock.now()
            claims = outbox.claim(now=now, limit=ROUND_LIMIT, task=task)
            if not claims:
                break
            run_claims(task, claims, now=now)
            done += len(claims)
    return done


def drain(*, now: datetime, limit: int = 1000, task: str | None = None) -> int:
    """Do everything that is due, here and now: for commands and tests. Returns how many rows were done."""
    done = 0
    while claims := outbox.claim(
        now=now, limit=min(limit - done, 100), task=task, lease=timedelta(minutes=10)
    ):
        rounds: defaultdict[str, list[Claim]] = defaultdict(list)
        for claim in claims:
            if claim.task in _batches:
                rounds[claim.task].append(claim)
            else:
                run_claim(claim, now=now)
        for name, together in rounds.items():
            run_claims(name, together, now=now)
        done += len(claims)
        if done >= limit:
            break
    return done
