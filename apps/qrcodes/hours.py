"""Opening hours: read as people write them, shown as people read them, asked whether they are open.

Hours are () for always, or seven tuples (Monday first) of spans ``(opens, closes)`` in minutes of the day in China. A span
begins before it ends and ends by 1,440; what passes midnight goes on as a span of the next day.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from apps.core.clock import CHINA

#: Minutes from opening to closing, of one day.
Spans = tuple[tuple[int, int], ...]
#: Nothing, or the spans of seven days.
Hours = tuple[Spans, ...]

DAY: Final = 24 * 60
WEEK: Final = 7
#: More breaks than this has no shop.
MOST_SPANS: Final = 4
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})", re.ASCII)
_BETWEEN = re.compile(r"\s*(?:-|–|—|~|～|至|to)\s*")
_APART = re.compile(r"[,;，；、]")


class HoursRefused(ValueError):
    """Text that gives no hours. ``reason``: ``shape``, ``clock``, ``empty``, ``overlap``, ``too_many``; ``text`` is the part."""

    def __init__(self, reason: str, text: str) -> None:
        self.reason = reason
        self.text = text
        super().__init__(f"{reason}: {text}")


def _minute(text: str) -> int:
    found = _CLOCK.fullmatch(text.strip())
    if found is None:
        raise HoursRefused("shape", text)
    hours, minutes = int(found[1]), int(found[2])
    if minutes > 59 or hours * 60 + minutes > DAY:
        raise HoursRefused("clock", text)
    return hours * 60 + minutes


def read_day(text: str) -> Spans:
    """One day's hours as typed: ``09:00-14:00, 17:00-02:00``; "" is closed. A closing before the opening is the next day's.

    Such a span ends after 1,440 here; ``week_of`` shares it out. Raises HoursRefused.
    """
    plain = unicodedata.normalize("NFKC", text).strip()
    spans: list[tuple[int, int]] = []
    for part in _APART.split(plain) if plain else []:
        ends = _BETWEEN.split(part.strip())
        if len(ends) != 2:
            raise HoursRefused("shape", part.strip())
        opens, closes = (_minute(end) for end in ends)
        if opens in {closes, DAY}:
            raise HoursRefused("empty", part.strip())
        spans.append((opens, closes if closes > opens else closes + DAY))
    if len(spans) > MOST_SPANS:
        raise HoursRefused("too_many", plain)
    spans.sort()
    if any(after[0] < before[1] for before, after in pairwise(spans)):
        raise HoursRefused("overlap", plain)
    return tuple(spans)


def week_of(days: Sequence[Spans]) -> Hours:
    """The hours of seven days as ``read_day`` gives them; () where every day is empty.

    Raises HoursRefused where a night runs into the hours of the day after.
    """
    week: list[list[tuple[int, int]]] = [[] for _day in range(WEEK)]
    for day, spans in enumerate(days):
        for opens, closes in spans:
            week[day].append((opens, min(closes, DAY)))
            if closes > DAY:
                week[(day + 1) % WEEK].append((0, closes - DAY))
    for shared in week:
        shared.sort()
        if any(after[0] < before[1] for before, after in pairwise(shared)):
            raise HoursRefused("overlap", "")
    return tuple(tuple(spans) for spans in week) if any(week) else ()


def hours_from(stored: Iterable[Iterable[Sequence[int]]]) -> Hours:
    """What a version's column holds."""
    return tuple(tuple((span[0], span[1]) for span in day) for day in stored)


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


def written(hours: Hours) -> list[str]:
    """Seven texts that ``read_day`` reads: a night is written whole on the day it begins."""
    if not hours:
        return [""] * WEEK
    nights = [
        bool(hours[day] and hours[(day + 1) % WEEK])
        and hours[day][-1][1] == DAY
        and hours[(day + 1) % WEEK][0][0] == 0
        # Only what ends earlier on the clock than it began can be written so.
        and hours[(day + 1) % WEEK][0][1] < hours[day][-1][0]
        for day in range(WEEK)
    ]
    texts: list[str] = []
    for day in range(WEEK):
        parts: list[str] = []
        for number, (opens, closes) in enumerate(hours[day]):
            if number == 0 and nights[day - 1]:
                # It stands with the day before.
                continue
            goes_on = nights[day] and number == len(hours[day]) - 1
            end = hours[(day + 1) % WEEK][0][1] if goes_on else closes
            parts.append(f"{_clock(opens)}-{_clock(end)}")
        texts.append(", ".join(parts))
    return texts


def is_open(hours: Hours, at: datetime) -> bool:
    """Whether it is open at that moment; always where there are no hours."""
    if not hours:
        return True
    here = at.astimezone(CHINA)
    minute = here.hour * 60 + here.minute
    return any(opens <= minute < closes for opens, closes in hours[here.weekday()])


def next_opening(hours: Hours, at: datetime) -> datetime | None:
    """When it opens after that moment, at which it is closed; None where it never does, or is open."""
    if is_open(hours, at):
        return None
    here = at.astimezone(CHINA)
    midnight = here.replace(hour=0, minute=0, second=0, microsecond=0)
    for days in range(WEEK + 1):
        day = midnight + timedelta(days=days)
        for opens, _closes in hours[day.weekday()]:
            opening = day + timedelta(minutes=opens)
            if opening > here:
                return opening
    return None
