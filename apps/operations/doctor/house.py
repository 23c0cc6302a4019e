"""How the portal itself fares: workers, database, disk, time zone, addresses."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.models import Q
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from apps.core import clock, partitions
from apps.core.models import Due
from apps.operations import health
from apps.operations.checks import platform_addresses
from apps.operations.doctor.findings import (
    Check,
    Examination,
    Finding,
    broken,
    examined,
    fine,
    unknown,
    warning,
)

#: Work is handed out each second; what waits this long waits for a worker.
LATE_WARNING: Final = timedelta(minutes=2)
LATE_BROKEN: Final = timedelta(minutes=15)
#: Free space below which the database will soon stop, in bytes and as a share.
LOW_BYTES: Final = 2 * 1024**3
LAST_BYTES: Final = 300 * 1024**2
LOW_SHARE: Final = 0.05
#: How far the clocks of this machine and of the database may be apart: what is due is judged by ours.
DATABASE_CLOCK: Final = timedelta(seconds=5)
_GB: Final = 1024**3


def examine_house(*, now: datetime) -> Examination:
    """All that does not belong to one account. Shows no host, role or path: members of every merchant read it."""
    found: list[Finding] = []
    for check, look in _LOOKS:
        try:
            found += look(now)
        except DatabaseError:
            found.append(broken(check, "database_down"))
        except (OperationalError, OSError, RedisError):
            found.append(unknown(check))
    # Said once, whatever else the database would have told.
    down = next((one for one in found if one.code == "database_down"), None)
    if down is not None:
        others = [one for one in found if one.code != "database_down"]
        found = [broken(Check.DATABASE, "database_down"), *others]
    return examined(found, now=now)


def _worker(now: datetime) -> Iterable[Finding]:
    trouble = health.CHECKS["beat"](now)
    oldest = _oldest_due(now)
    late = now - oldest if oldest is not None else timedelta(0)
    minutes = round(late.total_seconds() / 60)
    if trouble:
        # Whatever waits, waits for it.
        return [broken(Check.WORKER, "worker_silent", minutes=minutes)]
    if late >= LATE_BROKEN:
        return [broken(Check.WORKER, "work_late", minutes=minutes)]
    if late >= LATE_WARNING:
        return [warning(Check.WORKER, "work_late", minutes=minutes)]
    return [fine(Check.WORKER)]


def _oldest_due(now: datetime) -> datetime | None:
    """Since when the work waits that waits longest and that nobody is at."""
    free = Q(claimed_until__isnull=True) | Q(claimed_until__lte=now)
    oldest: datetime | None = (
        Due.objects.filter(free, due_at__lte=now)
        .order_by("due_at")
        .values_list("due_at", flat=True)
        .first()
    )
    return oldest


def _database(now: datetime) -> Iterable[Finding]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT rolsuper OR rolbypassrls, clock_timestamp() FROM pg_roles WHERE rolname = current_user"
        )
        over_the_wall, theirs = cursor.fetchone()
    found = []
    if over_the_wall:
        found.append(broken(Check.DATABASE, "database_role"))
    waiting = health.CHECKS["migrations"](now)
    if waiting:
        found.append(broken(Check.DATABASE, "migrations_missing"))
    apart = abs(clock.now() - theirs)
    if apart >= DATABASE_CLOCK:
        found.append(
            warning(Check.DATABASE, "database_clock", seconds=round(apart.total_seconds()))
        )
    next_month = (now.astimezone(clock.CHINA).date().replace(day=1) + timedelta(days=31)).replace(
        day=1
    )
    behind = [split for split in partitions.list_splits() if split.made_until() < next_month]
    if any(split.default_size for split in behind):
        # Rows that came meanwhile are in the way of the months they belong to.
        tables = ", ".join(split.table for split in behind)
        found.append(warning(Check.DATABASE, "months_stray", tables=tables))
    elif behind:
        found.append(warning(Check.DATABASE, "months_missing"))
    return found or [fine(Check.DATABASE)]


def _disk(now: datetime) -> Iterable[Finding]:
    usage = shutil.disk_usage(settings.DATA_DIR)
    free = round(usage.free / _GB, 1)
    if usage.free < LAST_BYTES:
        return [broken(Check.DISK, "disk_full", gigabytes=free)]
    if usage.free < LOW_BYTES or usage.free < LOW_SHARE * usage.total:
        return [warning(Check.DISK, "disk_low", gigabytes=free)]
    return [fine(Check.DISK, gigabytes=free)]


def _time(now: datetime) -> Iterable[Finding]:
    local = now.astimezone(clock.CHINA)
    if local.utcoffset() != timedelta(hours=8) or not settings.USE_TZ:
        return [broken(Check.TIME, "zone_wrong")]
    return [fine(Check.TIME, at=now.isoformat())]


def _addresses(now: datetime) -> Iterable[Finding]:
    """A simulator's word must never be taken for money; a development machine has nothing else."""
    if settings.NOTIFY_ALLOW_HTTP:
        code = "addresses_simulator" if settings.SIMULATOR_URL else "addresses_development"
        return [fine(Check.ADDRESSES, code)]
    found = platform_addresses(None)
    if any(message.id == "portal.E001" for message in found):
        return [broken(Check.ADDRESSES, "simulator_in_production")]
    if found:
        names = ", ".join(sorted(str(message.msg).split()[0] for message in found))
        return [broken(Check.ADDRESSES, "platform_address", names=names)]
    return [fine(Check.ADDRESSES)]


_LOOKS: Final[tuple[tuple[Check, Callable[[datetime], Iterable[Finding]]], ...]] = (
    (Check.WORKER, _worker),
    (Check.DATABASE, _database),
    (Check.DISK, _disk),
    (Check.TIME, _time),
    (Check.ADDRESSES, _addresses),
)
