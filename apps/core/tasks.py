"""The relay that turns due rows into Celery messages, and the base that every due task runs on."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from celery import current_app, shared_task

from apps.core import clock, outbox
from apps.core.tenancy import Scope, enter_scope

logger = logging.getLogger(__name__)

#: Most rows one relay round hands out; the next round comes a second later.
RELAY_LIMIT = 400

Handler = Callable[[int, datetime], datetime | None]
_handlers: dict[str, Handler] = {}


def due_task(name: str) -> Callable[[Handler], Handler]:
    """Register ``handler(subject_id, now) -> next due time or None`` under ``name``, e.g. ``"payments.poll"``.

    It runs inside the merchant's scope, at least once, possibly twice at a time. An exception means "again later".
    """

    def register(handler: Handler) -> Handler:
        if name in _handlers:
            raise RuntimeError(f"two handlers for {name}")
        _handlers[name] = handler
        return handler

    return register


def registered_tasks() -> frozenset[str]:
    """The names that ``outbox.enqueue`` may use."""
    return frozenset(_handlers)


def run_claim(claim: outbox.Claim, *, now: datetime) -> None:
    """Do one claimed row: enter its scope, call its handler, finish or put it off."""
    handler = _handlers.get(claim.task)
    if handler is None:
        outbox.fail(claim, now=now, error=f"no handler named {claim.task}")
        logger.error("no handler named %s", claim.task)
        return
    try:
        with enter_scope(Scope(claim.merchant_id)):
            next_at = handler(claim.subject_id, now)
    except Exception as error:
        # The row is the retry: the failure is kept on it, shown on the jobs page and logged in full.
        logger.exception("due task %s on %s failed", claim.task, claim.subject_id)
        # Its kind only: the row stands outside the wall, and a message may name somebody.
        outbox.fail(claim, now=now, error=type(error).__name__)
        return
    outbox.finish(claim, next_at=next_at)


@shared_task(name="core.relay_dues", ignore_result=True)
def relay_dues() -> int:
    """Claim what is due and send one message a row. Returns how many were sent."""
    claims = outbox.claim(now=clock.now(), limit=RELAY_LIMIT)
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
    return len(claims)


@shared_task(name="core.run_due", ignore_result=True)
def run_due(**fields: Any) -> None:
    """Do one claimed row."""
    run_claim(outbox.Claim(**fields), now=clock.now())


def drain(*, now: datetime, limit: int = 1000, task: str | None = None) -> int:
    """Do everything that is due, here and now: for commands and tests. Returns how many rows were done."""
    done = 0
    while claims := outbox.claim(
        now=now, limit=min(limit - done, 100), task=task, lease=timedelta(minutes=10)
    ):
        for claim in claims:
            run_claim(claim, now=now)
        done += len(claims)
        if done >= limit:
            break
    return done
