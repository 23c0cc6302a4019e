"""The simulated clock: shifted and sped up at will, for expiries, retries and bills.

Signatures do not use it: a client compares their time stamps with the true time, so these stay real
(``real_now``), and so does an answer's ``Date``. Everything that a platform *does* happens on the simulated clock (``now``). A
platform whose clock is wrong is a fault of its own (``skew``).
"""

from __future__ import annotations

import calendar
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.db import transaction

from apps.simulator.models import ClockState

#: The platforms write and cut days in Beijing time.
BEIJING = ZoneInfo("Asia/Shanghai")


def real_now() -> datetime:
    """The true instant, aware UTC: for time stamps under signatures."""
    return datetime.now(UTC)


#: Where the simulated time may be moved to: dates far off cannot be reckoned with.
EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)
_FARTHEST = (LATEST - EARLIEST).total_seconds()
#: The most simulated seconds a true second.
FASTEST = 100_000.0

#: The clock as it was last read; every request asks for it many times. None inside: it was never set.
_remembered: tuple[ClockState | None] | None = None


def forget() -> None:
    """Read the clock anew at the next look: after it was set, or the database was changed."""
    global _remembered
    _remembered = None


def _state() -> ClockState | None:
    global _remembered
    known = _remembered
    if known is None:
        known = _remembered = (ClockState.objects.filter(pk=1).first(),)
    return known[0]


def now() -> datetime:
    """The simulated instant, aware UTC."""
    real = real_now()
    state = _state()
    return state.at(real) if state else real


def read() -> dict[str, object]:
    """The clock as its JSON shows it: simulated and real time (ISO, UTC), offset (s), factor."""
    real = real_now()
    state = _state()
    simulated = state.at(real) if state else real
    return {
        "now": simulated.isoformat(),
        "real_now": real.isoformat(),
        "offset_seconds": round((simulated - real).total_seconds(), 3),
        "factor": state.factor if state else 1.0,
    }


def set_clock(
    *,
    offset_seconds: float | None = None,
    advance_seconds: float | None = None,
    factor: float | None = None,
) -> datetime:
    """Move the clock and return its time: to an offset from true time, forward by some seconds, or
    to another speed (simulated seconds a true second). What is None stays as it is.

    Raises ValueError for a factor below 0 or above ``FASTEST``, for what is no number, and for a time outside of
    ``EARLIEST`` to ``LATEST``.
    """
    for name, number in (("offset_seconds", offset_seconds), ("advance_seconds", advance_seconds)):
        if number is not None and not abs(number) <= _FARTHEST:
            raise ValueError(f"{name} must be a number of seconds within 200 years, not {number}")
    if factor is not None and not 0 <= factor <= FASTEST:
        raise ValueError(f"factor must be a number from 0 to {FASTEST:.0f}, not {factor}")
    real = real_now()
    state = _state()
    simulated = state.at(real) if state else real
    if offset_seconds is not None:
        simulated = real + timedelta(seconds=offset_seconds)
    if advance_seconds is not None:
        simulated += timedelta(seconds=advance_seconds)
    if not EARLIEST <= simulated <= LATEST:
        raise ValueError(
            f"the clock goes from {EARLIEST:%Y} to {LATEST:%Y}, not to {simulated:%Y-%m-%d}"
        )
    speed = factor if factor is not None else (state.factor if state else 1.0)
    ClockState.objects.update_or_create(
        pk=1, defaults={"anchor_real": real, "anchor_sim": simulated, "factor": speed}
    )
    forget()
    # Another thread may have read before the commit.
    transaction.on_commit(forget)
    return simulated


def beijing_date(at: datetime) -> date:
    """The platform's day that holds an instant: days are cut at 00:00 Beijing."""
    return at.astimezone(BEIJING).date()


def beijing_period(day: date) -> tuple[datetime, datetime]:
    """The half-open period [from, to) of a platform's day, in UTC."""
    start = datetime.combine(day, time(0), tzinfo=BEIJING)
    return start.astimezone(UTC), (start + timedelta(days=1)).astimezone(UTC)


def months_over(at: datetime, months: int) -> datetime:
    """When the day ends, in Beijing, that is so many calendar months after an instant's; UTC."""
    day = beijing_date(at)
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    longest = calendar.monthrange(year, month + 1)[1]
    return beijing_period(date(year, month + 1, min(day.day, longest)))[1]


def beijing_text(at: datetime) -> str:
    """``2026-05-01 10:21:33`` in Beijing time, as bills and Alipay write it."""
    return at.astimezone(BEIJING).strftime("%Y-%m-%d %H:%M:%S")


def rfc3339(at: datetime) -> str:
    """``2018-06-08T10:34:56+08:00``, as WeChat Pay writes it."""
    return at.astimezone(BEIJING).replace(microsecond=0).isoformat()
