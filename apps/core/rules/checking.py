"""Rules that can never decide: found exactly, by what is left of each rule once those before it are taken away.

A rule is a few boxes: for each fact a range or a set of words. Taking a box away from another leaves boxes, so what is left is
known without trying any case. What the numbers have to do with each other (``Schema.orders``: a payment's refunds in all are
never less than the one asked for) is counted in: a box is empty where no numbers within it keep their orders.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

from apps.core.rules.book import OTHERWISE, Book, Choice, Number, Rule, Schema, Span

#: Beyond so many steps nothing is said about a rule: books that people write take hundreds.
MOST_STEPS: Final = 100_000


@dataclass(frozen=True, slots=True)
class Problem:
    """Why the rule ``number`` (``OTHERWISE``: what holds otherwise) never decides.

    ``code``: ``impossible`` (its own conditions exclude each other), ``repeats`` (the rules in ``by`` decide all of it, in the
    same way) or ``contradicted`` (they do, in another way).
    """

    number: int
    code: str
    by: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class _Box:
    """Ranges (both ends within) and sets of words by fact; what is not named is free."""

    ranges: Mapping[str, tuple[int, int]]
    words: Mapping[str, frozenset[str]]


class _TooManySteps(Exception):
    """It would take too long to tell."""


class _Space:
    """All cases there can be: the schema, and the words that each fact can be."""

    def __init__(self, schema: Schema, words: Mapping[str, frozenset[str]]) -> None:
        self._numbers = {
            name: (kind.least, kind.most)
            for name, kind in schema.facts.items()
            if isinstance(kind, Number)
        }
        self._words = {
            name: words[name] for name, kind in schema.facts.items() if isinstance(kind, Choice)
        }
        self._orders = schema.orders
        self._steps = 0

    def everything(self) -> list[_Box]:
        """The box without conditions."""
        return [_Box(dict(self._numbers), dict(self._words))]

    def boxes(self, rule: Rule) -> list[_Box]:
        """What a rule covers."""
        names = list(rule.spans)
        words = {**self._words}
        for name, chosen in rule.words.items():
            words[name] = self._words[name] & chosen
        return [
            _Box(
                {**self._numbers, **dict(zip(names, ranges, strict=True))},
                words,
            )
            for ranges in product(
                *([self._range(name, span) for span in rule.spans[name]] for name in names)
            )
        ]

    def _range(self, name: str, span: Span) -> tuple[int, int]:
        least, most = self._numbers[name]
        over = least if span.over is None else max(least, span.over + 1)
        return over, most if span.up_to is None else min(most, span.up_to)

    def is_empty(self, box: _Box) -> bool:
        """Whether no case is within."""
        if not all(box.words.values()):
            return True
        lowest = {name: ends[0] for name, ends in box.ranges.items()}
        # Each number at least what must not be larger than it; a chain of n orders settles in n rounds.
        for _round in self._orders:
            changed = False
            for lower, upper in self._orders:
                if lowest[upper] < lowest[lower]:
                    lowest[upper], changed = lowest[lower], True
            if not changed:
                break
        return any(lowest[name] > ends[1] for name, ends in box.ranges.items())

    def is_covered(self, box: _Box, by: Sequence[_Box]) -> bool:
        """Whether every case of the box is in one of the others. Raises _TooManySteps."""
        self._steps += 1
        if self._steps > MOST_STEPS:
            raise _TooManySteps
        if self.is_empty(box):
            return True
        for place, other in enumerate(by):
            if not self._meet(box, other):
                continue
            rest = by[place + 1 :]
            return all(self.is_covered(piece, rest) for piece in self._without(box, other))
        return False

    def _meet(self, box: _Box, other: _Box) -> bool:
        return all(
            max(low, other.ranges[name][0]) <= min(high, other.ranges[name][1])
            for name, (low, high) in box.ranges.items()
        ) and all(words & other.words[name] for name, words in box.words.items())

    def _without(self, box: _Box, other: _Box) -> Iterator[_Box]:
        """What is left of a box, in pieces that have no case in common."""
        ranges, words = dict(box.ranges), dict(box.words)
        for name, (low, high) in box.ranges.items():
            least, most = other.ranges[name]
            if low < least:
                yield _Box({**ranges, name: (low, least - 1)}, dict(words))
            if most < high:
                yield _Box({**ranges, name: (most + 1, high)}, dict(words))
            ranges[name] = (max(low, least), min(high, most))
        for name, chosen in box.words.items():
            outside = chosen - other.words[name]
            if outside:
                yield _Box(dict(ranges), {**words, name: outside})
            words[name] = chosen & other.words[name]


def check(book: Book, schema: Schema, words: Mapping[str, frozenset[str]]) -> list[Problem]:
    """What never decides, in the book's order. ``words``: for each ``Choice`` of the schema all that it can be."""
    problems: list[Problem] = []
    before: list[tuple[int, list[_Box]]] = []
    for number, rule in enumerate(book.rules, start=1):
        space = _Space(schema, words)
        boxes = space.boxes(rule)
        if all(space.is_empty(box) for box in boxes):
            problems.append(Problem(number, "impossible"))
            continue
        problem = _never(space, book, number, boxes, before)
        if problem is not None:
            problems.append(problem)
        else:
            # What never decides takes nothing away from those after it.
            before.append((number, boxes))
    space = _Space(schema, words)
    problem = _never(space, book, OTHERWISE, space.everything(), before)
    return [*problems, problem] if problem is not None else problems


def _never(
    space: _Space,
    book: Book,
    number: int,
    boxes: Sequence[_Box],
    before: Sequence[tuple[int, list[_Box]]],
) -> Problem | None:
    """The problem of a rule that those before it cover; None where it decides something, or where it takes too long to tell."""

    def covered(by: Sequence[tuple[int, list[_Box]]]) -> bool:
        others = [box for _number, many in by for box in many]
        return all(space.is_covered(box, others) for box in boxes)

    try:
        if not covered(before):
            return None
        needed = list(before)
        for one in before:
            without = [other for other in needed if other is not one]
            if covered(without):
                needed = without
    except _TooManySteps:
        return None
    by = tuple(one for one, _boxes in needed)
    same = all(book.outcome_of(one) == book.outcome_of(number) for one in by)
    return Problem(number, "repeats" if same else "contradicted", by)
