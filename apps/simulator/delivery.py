"""The simulator's own clockwork: what happens without anybody asking."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from threading import Event

from django.db import DatabaseError

from apps.simulator import books, clock, notifications

logger = logging.getLogger("simulator.delivery")


def tick(*, now: datetime) -> None:
    """Expire orders and finish refunds that are due."""
    books.expire_due(now=now)
    books.settle_due(now=now)


def run_loop(*, stop: Event, tick_seconds: float = 0.2) -> None:
    """Until ``stop`` is set: ``tick``, then send the due notices, four at a time."""
    with ThreadPoolExecutor(max_workers=4, thread_name_prefix="notice") as pool:
        while not stop.wait(tick_seconds):
            try:
                now = clock.now()
                tick(now=now)
                running = [
                    pool.submit(notifications.attempt, notice_id=pk, now=now)
                    for pk in notifications.due_ids(now=now)
                ]
                for future in running:
                    future.result()
            except DatabaseError:
                logger.exception("the delivery loop met a database error and goes on")
