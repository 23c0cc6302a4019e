"""The only reader of the clock, and the one definition of a business day."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

#: The zone of every business day, screen and file. China has one zone and no summer time.
CHINA = ZoneInfo("Asia/Shanghai")
#: Days that people type outside of these are slips of the keyboard.
EARLIEST = date(2000, 1, 1)
LATEST = date(2099, 12, 31)


def now() -> datetime:
    """The present instant, aware, in UTC."""
    return datetime.now(UTC)


def business_date(at: datetime, day_starts_at: time = time(0)) -> date:
    """The business day that holds ``at``: a day runs from ``day_starts_at`` (China time) for 24 hours.

    Raises ValueError for a naive time, which would silently shift the day.
    """
    if at.tzinfo is None:
        raise ValueError("a business day needs an aware time")
    shift = timedelta(hours=day_starts_at.hour, minutes=day_starts_at.minute)
    return (at.astimezone(CHINA) - shift).date()


def business_period(day: date, day_starts_at: time = time(0)) -> tuple[datetime, datetime]:
    """The half-open period ``[from, to)`` of a business day, in UTC."""
    start = datetime.combine(day, day_starts_at, tzinfo=CHINA)
    return start.astimezone(UTC), (start + timedelta(days=1)).astimezone(UTC)
