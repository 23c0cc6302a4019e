"""Is the portal alive, and is everything it leans on there?"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from celery import current_app
from django.core.cache import cache
from django.db import Error as DatabaseError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

HEARTBEAT_KEY = "beat-heartbeat"
#: Beat ticks every few seconds (see CELERY_BEAT_SCHEDULE); this long without one, it or every worker is gone.
HEARTBEAT_LIMIT = timedelta(seconds=45)


def beat_now(*, now: datetime) -> None:
    """Called by a worker at each tick of beat: proves both."""
    cache.set(HEARTBEAT_KEY, now, timeout=3600)


def _database(now: datetime) -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return ""


def _migrations(now: datetime) -> str:
    executor = MigrationExecutor(connection)
    waiting = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return f"{len(waiting)} migrations are not applied: run manage.py migrate" if waiting else ""


def _broker(now: datetime) -> str:
    with current_app.connection_for_write() as broker:
        broker.ensure_connection(max_retries=1, timeout=2)
    return ""


def _beat(now: datetime) -> str:
    last = cache.get(HEARTBEAT_KEY)
    if last is None:
        return "no tick of beat has reached a worker yet"
    if now - last > HEARTBEAT_LIMIT:
        return f"the last tick of beat reached a worker {int((now - last).total_seconds())} s ago"
    return ""


CHECKS: dict[str, Callable[[datetime], str]] = {
    "database": _database,
    "migrations": _migrations,
    "broker": _broker,
    "beat": _beat,
}


def readiness(*, now: datetime) -> dict[str, str]:
    """Each check's trouble in words, ``""`` where all is well. A check that cannot run is in trouble too."""
    found = {}
    for name, check in CHECKS.items():
        try:
            found[name] = check(now)
        except (DatabaseError, OperationalError, OSError, RedisError) as error:
            # Everybody may read the answer; hosts and role names stand in the log only.
            logger.warning("not ready: %s", name, exc_info=True)
            found[name] = f"{type(error).__name__}, see the log"
    return found
