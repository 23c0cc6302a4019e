"""What is odd about how codes are opened: gone quiet, opened far more than usual, opened though stopped.

Each rule is one statement over all codes of the merchant. What needs to know payments is found by ``reports``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any

from django.db.models import QuerySet

from apps.core import clock, sql
from apps.core.tenancy import ScopedQuerySet, current_merchant_id
from apps.qrcodes.models import AlertKind, CodeAlert
from apps.qrcodes.oddities import (
    HABIT_DAYS,
    HABIT_OPEN_DAYS,
    HABIT_SCANS,
    QUIET_FORGOTTEN_DAYS,
    QUIET_TIMES,
    STOPPED_DAYS,
    STOPPED_HOURS,
    SURGE_SCANS,
    SURGE_TIMES,
)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something odd about a code: since when, and the whole numbers and texts that its sentence is made of."""

    code_id: int
    kind: AlertKind
    since: datetime
    facts: Mapping[str, int | str] = field(default_factory=dict)


#: Openings by code and business day.
_DAYS = """
WITH days AS (
    SELECT code_id, (at AT TIME ZONE 'Asia/Shanghai' - %(shift)s::interval)::date AS day, count(*) AS scans
    FROM qrcodes_scan WHERE merchant_id = %(merchant)s AND at >= %(start)s AND at < %(now)s
    GROUP BY 1, 2
)
"""
#: The habit is that of the four weeks to the last day on which the code was opened. What was stopped meanwhile is waited for as long
#: from its return on.
_QUIET = f"""
{_DAYS}, ending AS (
    SELECT code_id, day, scans, max(day) OVER (PARTITION BY code_id) AS last_day FROM days
), spaced AS (
    SELECT code_id, last_day, scans, day - lag(day) OVER (PARTITION BY code_id ORDER BY day) AS pause
    FROM ending WHERE day > last_day - {HABIT_DAYS}
), habits AS (
    SELECT code_id, last_day, sum(scans)::bigint AS scans, count(*) AS open_days, max(pause) AS pause
    FROM spaced GROUP BY code_id, last_day
)
SELECT habits.code_id, habits.last_day, habits.scans, habits.open_days, habits.pause
FROM habits
JOIN qrcodes_qrcode AS code ON code.merchant_id = %(merchant)s AND code.id = habits.code_id
JOIN merchants_store AS store ON store.merchant_id = %(merchant)s AND store.id = code.store_id
WHERE code.state = 'active' AND store.is_active
    AND (code.valid_from IS NULL OR code.valid_from <= %(now)s)
    AND (code.valid_until IS NULL OR code.valid_until > %(now)s)
    AND habits.scans >= {HABIT_SCANS} AND habits.open_days >= {HABIT_OPEN_DAYS}
    AND %(today)s::date - habits.last_day - 1 >= {QUIET_TIMES} * habits.pause
    AND habits.last_day > %(today)s::date - {QUIET_FORGOTTEN_DAYS}
    AND COALESCE(%(today)s::date - 1 - (
        GREATEST(code.state_changed_at, code.valid_from) AT TIME ZONE 'Asia/Shanghai' - %(shift)s::interval
    )::date >= {QUIET_TIMES} * habits.pause, true)
ORDER BY habits.last_day, habits.code_id
"""  # noqa: S608 - nothing in it but numbers of oddities
_SURGES = f"""
{_DAYS}, judged AS (
    SELECT code_id, day, scans, max(scans) OVER before AS busiest, count(*) OVER before AS open_days
    FROM days WINDOW before AS (
        PARTITION BY code_id ORDER BY day
        RANGE BETWEEN interval '{HABIT_DAYS} days' PRECEDING AND interval '1 day' PRECEDING
    )
)
SELECT code_id, day, scans, busiest FROM judged
WHERE day >= %(today)s::date - 1 AND open_days >= {HABIT_OPEN_DAYS}
    AND scans >= {SURGE_SCANS} AND scans >= {SURGE_TIMES} * busiest
ORDER BY code_id, day
"""  # noqa: S608 - as above
_STOPPED = f"""
SELECT code.id, code.state, min(scan.at), max(scan.at), count(*), count(DISTINCT date_trunc('hour', scan.at))
FROM qrcodes_qrcode AS code
JOIN qrcodes_scan AS scan ON scan.merchant_id = %(merchant)s AND scan.code_id = code.id
    AND scan.at >= %(start)s AND scan.at < %(now)s
    AND scan.at >= code.state_changed_at + interval '1 day'
WHERE code.merchant_id = %(merchant)s AND code.state IN ('paused', 'retired')
GROUP BY code.id, code.state HAVING count(DISTINCT date_trunc('hour', scan.at)) >= {STOPPED_HOURS}
ORDER BY code.id
"""  # noqa: S608 - as above


@dataclass(frozen=True, slots=True)
class Quiet:
    """A code that is not opened any more. ``scans`` on ``open_days`` days of the four weeks to ``last_day`` were its habit,
    ``pause`` the most days from one with an opening to the next, ``silent_days`` the whole days without one since."""

    code_id: int
    last_day: date
    scans: int
    open_days: int
    pause: int
    silent_days: int


def _values(now: datetime, day_starts_at: time, *, days: int) -> dict[str, Any]:
    today = clock.business_date(now, day_starts_at)
    start, _end = clock.business_period(today - timedelta(days=days), day_starts_at)
    return {
        "merchant": current_merchant_id(),
        "now": now,
        "today": today,
        "start": start,
        "shift": timedelta(hours=day_starts_at.hour, minutes=day_starts_at.minute),
    }


def quiet_codes(*, now: datetime, day_starts_at: time) -> list[Quiet]:
    """The codes of the whole merchant that have gone quiet, the longest silent first; a page shows those in its scope."""
    values = _values(now, day_starts_at, days=QUIET_FORGOTTEN_DAYS + HABIT_DAYS)
    return [
        Quiet(code_id, last_day, scans, open_days, pause, (values["today"] - last_day).days - 1)
        for code_id, last_day, scans, open_days, pause in sql.every(_QUIET, values)
    ]


def odd_scans(*, now: datetime, day_starts_at: time) -> list[Finding]:
    """All that is odd about openings of the merchant's codes now. Three statements."""
    found = [
        Finding(
            quiet.code_id,
            AlertKind.QUIET,
            clock.business_period(quiet.last_day, day_starts_at)[1],
            {
                "scans": quiet.scans,
                "open_days": quiet.open_days,
                "pause": quiet.pause,
                "silent_days": quiet.silent_days,
                "last_day": quiet.last_day.isoformat(),
            },
        )
        for quiet in quiet_codes(now=now, day_starts_at=day_starts_at)
    ]
    values = _values(now, day_starts_at, days=HABIT_DAYS + 1)
    # Of two such days the later one is told.
    surges = {row[0]: row for row in sql.every(_SURGES, values)}
    for code_id, day, scans, busiest in surges.values():
        since = clock.business_period(day, day_starts_at)[0]
        facts = {"day": day.isoformat(), "scans": scans, "busiest": busiest}
        found.append(Finding(code_id, AlertKind.SURGE, since, facts))
    values = _values(now, day_starts_at, days=STOPPED_DAYS)
    for code_id, state, first, last, scans, hours in sql.every(_STOPPED, values):
        facts = {"state": state, "scans": scans, "hours": hours, "last": last.isoformat()}
        found.append(Finding(code_id, AlertKind.STOPPED, first, facts))
    return found


def list_alerts() -> QuerySet[CodeAlert]:
    """The alerts of codes of the stores in scope, with what their sentences name."""
    alerts = CodeAlert.objects.visible("code__store_id")
    return alerts.select_related("code__scenario", "code__store", "looked_by")


def open_alerts(*, code_id: int | None = None) -> list[CodeAlert]:
    """The alerts that nobody has looked at, newest first; of one code where it is named."""
    alerts = list_alerts().filter(looked_at__isnull=True)
    if code_id is not None:
        alerts = alerts.filter(code_id=code_id)
    return list(alerts.order_by("-opened_at", "-pk"))


def alerts_open() -> ScopedQuerySet[CodeAlert]:
    """The alerts of the stores in scope that wait for a look."""
    return CodeAlert.objects.visible("code__store_id").filter(looked_at__isnull=True)


def count_open_alerts() -> int:
    """How many alerts of the stores in scope wait for a look."""
    return alerts_open().count()


def get_alert(alert_id: int) -> CodeAlert:
    """One alert of a code of the stores in scope. Raises CodeAlert.DoesNotExist."""
    alert: CodeAlert = list_alerts().get(pk=alert_id)
    return alert


def quiet_ids(*, now: datetime, day_starts_at: time) -> list[int]:
    """The ids of ``quiet_codes``."""
    return [quiet.code_id for quiet in quiet_codes(now=now, day_starts_at=day_starts_at)]
