"""An end to how long the database may keep somebody waiting, over all statements of a piece of work together.

PostgreSQL's own ``statement_timeout`` begins anew with each statement, and its ``transaction_timeout`` is younger than the
oldest server we run on.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections
from psycopg.pq import TransactionStatus

logger = logging.getLogger(__name__)

#: Seconds that one statement may take once the time is over: enough to roll back and to clear a setting.
GRACE = 0.3


class Deadline:
    """Whether the time is over. A statement that ran into it raised ``OperationalError``."""

    def __init__(self) -> None:
        self._over = threading.Event()

    @property
    def passed(self) -> bool:
        """True once statements have begun to be cancelled."""
        return self._over.is_set()

    def end(self) -> None:
        """The time is over."""
        self._over.set()


@contextmanager
def deadline(seconds: float) -> Iterator[Deadline]:
    """Cancel whatever statement of this thread's connection is running ``seconds`` from now, and each slow one after it.

    Inside the block a cancelled statement raises ``django.db.OperationalError``; ask ``passed`` to tell why. Work that is
    already committed stays. After a deadline that has passed the connection is closed, since its session may be half set.
    """
    limit = Deadline()
    done = threading.Event()
    connection = connections[DEFAULT_DB_ALIAS]

    def watch() -> None:
        if done.wait(seconds):
            return
        limit.end()
        while True:
            raw = connection.connection
            if raw is not None and raw.info.transaction_status == TransactionStatus.ACTIVE:
                try:
                    raw.cancel_safe(timeout=1)
                except psycopg.Error:
                    # A server that cannot even be asked to stop will be given up by its own time limits.
                    logger.warning("a statement past its deadline could not be cancelled")
            if done.wait(GRACE):
                return

    watcher = threading.Thread(target=watch, name="deadline", daemon=True)
    watcher.start()
    try:
        yield limit
    finally:
        done.set()
        # A cancel under way must not hit the statement of whoever comes next.
        watcher.join()
        if limit.passed and not connection.in_atomic_block:
            connection.close()
