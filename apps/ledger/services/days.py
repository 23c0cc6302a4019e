"""The lock of a business day: posting holds its row FOR SHARE, closing and opening again FOR UPDATE.

Who closes must call ``hold_day`` first and read afterwards: every posting into the day has then ended, and those that come
later wait for the end of the transaction and find the day closed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from django.db import connection, transaction

from apps.core import sql
from apps.core.tenancy import current_merchant_id

_MAKE_DAY = """
INSERT INTO ledger_businessday (merchant_id, day, is_closed, version) VALUES (%s, %s, false, 0)
ON CONFLICT (merchant_id, day) DO NOTHING
"""
#: Tests take the lock out of it to show the race.
HOLD_DAY = "SELECT is_closed, version FROM ledger_businessday WHERE merchant_id = %s AND day = %s FOR UPDATE"
_CLOSE = """
UPDATE ledger_businessday SET is_closed = true, version = version + 1, closed_at = %s
WHERE merchant_id = %s AND day = %s AND NOT is_closed RETURNING version
"""
_OPEN = """
UPDATE ledger_businessday SET is_closed = false WHERE merchant_id = %s AND day = %s AND is_closed RETURNING version
"""


class DayClosed(Exception):
    """The business day is closed."""


class DayOpen(Exception):
    """The business day is open."""


@dataclass(frozen=True, slots=True)
class HeldDay:
    """A business day whose row is held; ``version`` counts its closings."""

    day: date
    is_closed: bool
    version: int


def hold_day(day: date) -> HeldDay:
    """Hold the day's row FOR UPDATE until the transaction ends: nobody posts into the day meanwhile.

    Waits for those who are posting into it. Raises TransactionManagementError outside a transaction.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("holding a day needs a transaction")
    place = [current_merchant_id(), day]
    row = sql.first(HOLD_DAY, place)
    if row is None:
        sql.run(_MAKE_DAY, place)
        row = sql.first(HOLD_DAY, place)
    if row is None:
        raise RuntimeError(f"business day {day} cannot be made")
    return HeldDay(day, row[0], row[1])


def close_day(day: date, *, now: datetime) -> int:
    """Close a day that ``hold_day`` holds, in the caller's transaction; the version of this closing.

    Raises DayClosed where it is closed already.
    """
    row = sql.first(_CLOSE, [now, current_merchant_id(), day])
    if row is None:
        raise DayClosed(str(day))
    return int(row[0])


def open_day(day: date) -> int:
    """Open a closed day again, in the caller's transaction; the version that was closed. Raises DayOpen."""
    row = sql.first(_OPEN, [current_merchant_id(), day])
    if row is None:
        raise DayOpen(str(day))
    return int(row[0])
