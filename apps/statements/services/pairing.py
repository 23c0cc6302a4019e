"""Which bank lines pay which settlements, by sums and dates alone. Free of the database.

Only what can be meant in one way is taken. Four kinds of pairs are tried, the surest first: a line and a settlement on its
due day; a line and a settlement within the window; a line and several settlements that follow each other; several lines
and one settlement. Within a kind, a line or settlement that fits more than one pair is left alone, here and in the kinds
that follow. So the result does not depend on the order of what is given.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import combinations
from typing import Final

#: Settlements that one line may pay together: a long holiday's.
MOST_SETTLEMENTS: Final = 14
#: Lines that may pay one settlement, and among how many of them they are looked for.
MOST_LINES: Final = 4
MOST_CANDIDATES: Final = 12


@dataclass(frozen=True, slots=True)
class Owed:
    """A settlement that is not paid yet: its cycle day and due day, and its amount in fen."""

    pk: int
    day: date
    due: date
    minor: int


@dataclass(frozen=True, slots=True)
class Arrived:
    """A bank line that pays nothing yet, in fen."""

    pk: int
    day: date
    minor: int


@dataclass(frozen=True, slots=True)
class Pair:
    """Bank lines and the settlements that they pay, by their ids, in order; both sides have the same sum."""

    lines: tuple[int, ...]
    settlements: tuple[int, ...]


def find_pairs(
    owed: Iterable[Owed], arrived: Iterable[Arrived], *, window: timedelta
) -> tuple[list[Pair], list[Pair]]:
    """The pairs that can be meant in one way, and those that compete with others, both in order of their ids.

    A line fits a settlement that was due on its day or at most ``window`` before it, or that is due up to a day later:
    some platforms are early.
    """
    open_owed = sorted(owed, key=lambda one: (one.day, one.pk))
    open_lines = sorted(arrived, key=lambda one: (one.day, one.pk))
    taken: list[Pair] = []
    rivals: list[Pair] = []
    for kind in (_on_the_day, _in_the_window, _runs, _parts):
        found = kind(open_owed, open_lines, window)
        lines = Counter(pk for pair in found for pk in pair.lines)
        settlements = Counter(pk for pair in found for pk in pair.settlements)
        for pair in found:
            alone = all(lines[pk] == 1 for pk in pair.lines) and all(
                settlements[pk] == 1 for pk in pair.settlements
            )
            (taken if alone else rivals).append(pair)
        open_owed = [one for one in open_owed if not settlements[one.pk]]
        open_lines = [one for one in open_lines if not lines[one.pk]]
    return sorted(taken, key=_order), sorted(rivals, key=_order)


def _order(pair: Pair) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return pair.lines, pair.settlements


def _fits(line: Arrived, one: Owed, window: timedelta) -> bool:
    return -timedelta(days=1) <= line.day - one.due <= window


def _on_the_day(owed: Sequence[Owed], lines: Sequence[Arrived], _window: timedelta) -> list[Pair]:
    return _ones(owed, lines, timedelta(0), early=False)


def _in_the_window(owed: Sequence[Owed], lines: Sequence[Arrived], window: timedelta) -> list[Pair]:
    return _ones(owed, lines, window, early=True)


def _ones(
    owed: Sequence[Owed], lines: Sequence[Arrived], window: timedelta, *, early: bool
) -> list[Pair]:
    by_amount: dict[int, list[Owed]] = {}
    for one in owed:
        by_amount.setdefault(one.minor, []).append(one)
    return [
        Pair((line.pk,), (one.pk,))
        for line in lines
        for one in by_amount.get(line.minor, ())
        if (_fits(line, one, window) if early else line.day == one.due)
    ]


def _runs(owed: Sequence[Owed], lines: Sequence[Arrived], window: timedelta) -> list[Pair]:
    """Settlements of cycle days that follow each other. The last one must fit; those before it may have been held back."""
    found = []
    for line in lines:
        for end, last in enumerate(owed):
            if not _fits(line, last, window):
                continue
            total = last.minor
            for start in range(end - 1, max(-1, end - MOST_SETTLEMENTS), -1):
                total += owed[start].minor
                if total == line.minor:
                    run = owed[start : end + 1]
                    found.append(Pair((line.pk,), tuple(one.pk for one in run)))
    return found


def _parts(owed: Sequence[Owed], lines: Sequence[Arrived], window: timedelta) -> list[Pair]:
    found = []
    for one in owed:
        near = [line for line in lines if _fits(line, one, window) and 0 < line.minor < one.minor]
        if len(near) > MOST_CANDIDATES:
            continue
        for many in range(2, MOST_LINES + 1):
            found += [
                Pair(tuple(line.pk for line in some), (one.pk,))
                for some in combinations(near, many)
                if sum(line.minor for line in some) == one.minor
            ]
    return found
