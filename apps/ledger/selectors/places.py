"""Places in lists that are ordered by booked day and id: ``20261124-57``."""

from __future__ import annotations

from datetime import date
from typing import Final

from apps.core.keyset import BadCursor

Place = tuple[date, int]

_MOST: Final = 2**63 - 1


def encode(place: Place) -> str:
    """The place as an address carries it."""
    day, key = place
    return f"{day:%Y%m%d}-{key}"


def decode(text: str) -> Place | None:
    """The day and id that an address names; None for "". Raises BadCursor."""
    if not text:
        return None
    day, _dash, key = text.partition("-")
    plain = text.isascii() and day.isdecimal() and len(day) == 8 and key.isdecimal()
    if not plain or len(key) >= 20 or int(key) > _MOST:
        raise BadCursor(text[:40])
    try:
        return date(int(day[:4]), int(day[4:6]), int(day[6:])), int(key)
    except ValueError as error:
        raise BadCursor(text[:40]) from error
