"""The simulator's own clockwork: what happens without anybody asking."""

from __future__ import annotations

import logging
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from threading import Event

from django.db import DatabaseError

from apps.simulator import books, clock, notifications

#: How many notices are sent at once, and how many are taken up ahead of them.
SENDERS = 8
AHEAD = 200

logger = logging.getLogger("simulator.delivery")


def tick(*, now: datetime) -> None:
    """Expire orders and finish refunds that are due."""
    books.expire_due(now=now)
    books.settle_due(now=now)


def run_loop(*, stop: Event, tick_seconds: float = 0.2) -> None:
    """Until ``stop`` is set: ``tick``, then give the due notices to the senders, without waiting for slow ones."""
    under_way: dict[int, Future[bool]] = {}
    with ThreadPoolExecutor(max_workers=SENDERS, thread_name_prefix="notice") as pool:
        while not stop.wait(tick_seconds):
            under_way = {pk: future for pk, future in under_way.items() if not _over(future)}
            try:
                now = clock.now()
                tick(now=now)
                due = notifications.due_ids(now=now, limit=AHEAD)
            except DatabaseError:
                logger.exception("the delivery loop met a database error and goes on")
                continue
            for pk in due:
                if pk not in under_way and len(under_way) < AHEAD:
                    under_way[pk] = pool.submit(notifications.attempt, notice_id=pk, now=now)
        pool.shutdown(wait=False, cancel_futures=True)


def _over(future: Future[bool]) -> bool:
    """Whether an attempt has ended; one that broke is logged, and made again when its claim ends."""
    if not future.done():
        return False
    error = None if future.cancelled() else future.exception()
    if error is not None:
        logger.error("a notice could not be sent", exc_info=error)
    return True
