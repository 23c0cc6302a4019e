"""An end to how long the database may keep somebody waiting, over all statements of a piece of work together.

PostgreSQL's own ``statement_timeout`` begins anew with each statement, and its ``transaction_timeout`` is younger than the
oldest server we run on.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

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


class _Piece:
    """One piece of work: whose connection it uses, and whether it is done."""

    def __init__(self, connection: Any) -> None:
        self.limit = Deadline()
        self.done = threading.Event()
        self._connection = connection
        #: A cancel under way must not hit the statement of whoever comes next.
        self._cancelling = threading.Lock()

    def finish(self) -> None:
        """Nothing of it is cancelled any more."""
        self.done.set()
        with self._cancelling:
            pass

    def end(self) -> None:
        """Cancel its statements, as long as it takes."""
        while True:
            with self._cancelling:
                if self.done.is_set():
                    return
                self.limit.end()
                self._cancel()
            if self.done.wait(GRACE):
                return

    def _cancel(self) -> None:
        raw = self._connection.connection
        if raw is not None and raw.info.transaction_status == TransactionStatus.ACTIVE:
            try:
                raw.cancel_safe(timeout=1)
            except psycopg.Error:
                # A server that cannot even be asked to stop will be given up by its own time limits.
                logger.warning("a statement past its deadline could not be cancelled")


class _Watcher:
    """One thread that knows when each piece of work should be done.

    Nearly all are done in time, and a thread for each would cost more than many a statement. Those that are late get one,
    so that a server that cannot be reached holds up nobody else's end.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._ends: list[tuple[float, int, _Piece]] = []
        self._numbers = itertools.count()
        self._runs = False

    def add(self, piece: _Piece, *, seconds: float) -> None:
        """End it so many seconds from now unless it is done."""
        at = time.monotonic() + seconds
        with self._changed:
            heapq.heappush(self._ends, (at, next(self._numbers), piece))
            if not self._runs:
                self._runs = True
                threading.Thread(target=self._watch, name="deadlines", daemon=True).start()
            elif self._ends[0][2] is piece:
                self._changed.notify()

    def _watch(self) -> None:
        with self._changed:
            while True:
                while self._ends and self._ends[0][2].done.is_set():
                    heapq.heappop(self._ends)
                if not self._ends:
                    self._changed.wait()
                elif (left := self._ends[0][0] - time.monotonic()) > 0:
                    self._changed.wait(left)
                else:
                    piece = heapq.heappop(self._ends)[2]
                    threading.Thread(target=piece.end, name="deadline", daemon=True).start()


_watcher = _Watcher()


def _after_fork() -> None:
    """A child begins with a watcher of its own: the parent's lock may have been held at that moment."""
    global _watcher
    _watcher = _Watcher()


os.register_at_fork(after_in_child=_after_fork)


@contextmanager
def deadline(seconds: float) -> Iterator[Deadline]:
    """Cancel whatever statement of this thread's connection is running ``seconds`` from now, and each slow one after it.

    Inside the block a cancelled statement raises ``django.db.OperationalError``; ask ``passed`` to tell why. Work that is
    already committed stays. After a deadline that has passed the connection is closed, since its session may be half set.
    """
    connection = connections[DEFAULT_DB_ALIAS]
    piece = _Piece(connection)
    _watcher.add(piece, seconds=seconds)
    try:
        yield piece.limit
    finally:
        piece.finish()
        if piece.limit.passed and not connection.in_atomic_block:
            connection.close()
