"""The days on which China's banks work: weekends, the published holidays, and what a merchant says beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from types import MappingProxyType
from typing import Final

_SATURDAY: Final = 5


def _each(first: date, last: date) -> Iterator[date]:
    while first <= last:
        yield first
        first += timedelta(days=1)


def _year(
    year: int, rests: tuple[tuple[int, int, int, int], ...], works: tuple[tuple[int, int], ...]
) -> dict[date, bool]:
    found = {
        day: False
        for month, day_, until_month, until in rests
        for day in _each(date(year, month, day_), date(year, until_month, until))
    }
    return found | {date(year, month, day): True for month, day in works}


#: The State Council's holidays and the weekends worked for them, as published for each year; True is a working day. A year
#: that is not published yet has its weekends only; a merchant adds days on the page of working days.
PUBLISHED: Final[Mapping[date, bool]] = MappingProxyType(
    _year(
        2025,
        ((1, 1, 1, 1), (1, 28, 2, 4), (4, 4, 4, 6), (5, 1, 5, 5), (5, 31, 6, 2), (10, 1, 10, 8)),
        ((1, 26), (2, 8), (4, 27), (9, 28), (10, 11)),
    )
    | _year(
        2026,
        (
            (1, 1, 1, 3),
            (2, 15, 2, 23),
            (4, 4, 4, 6),
            (5, 1, 5, 5),
            (6, 19, 6, 21),
            (9, 25, 9, 27),
            (10, 1, 10, 7),
        ),
        ((1, 4), (2, 14), (2, 28), (5, 9), (9, 20), (10, 10)),
    )
)
#: The last year whose holidays are known here.
LAST_PUBLISHED_YEAR: Final = 2026


def is_working(day: date, exceptions: Mapping[date, bool]) -> bool:
    """Whether banks work on ``day``; ``exceptions`` win over what was published."""
    if day in exceptions:
        return exceptions[day]
    return PUBLISHED.get(day, day.weekday() < _SATURDAY)


def due_date(
    day: date, *, cycle_days: int, working_days: bool, exceptions: Mapping[date, bool]
) -> date:
    """When the money of a cycle day is due: so many days later, or working days, on which alone it then arrives."""
    if not working_days:
        return day + timedelta(days=cycle_days)
    left = cycle_days
    while left > 0 or not is_working(day, exceptions):
        day += timedelta(days=1)
        if left > 0 and is_working(day, exceptions):
            left -= 1
    return day
