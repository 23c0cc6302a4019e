"""What a book is, how it is kept as JSON, and how it decides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

#: What all facts of one case are called and are: whole numbers and words.
Facts = Mapping[str, int | str]
#: The number of what decides where no rule does; rules count from 1.
OTHERWISE: Final = 0
#: More rules than this nobody reads any more.
MOST_RULES: Final = 40
#: So many words at most stand in one condition.
MOST_WORDS: Final = 500
NOTE_LENGTH: Final = 120


class BadBook(ValueError):
    """What was given is no book. ``rule`` counts from 1 (0: what holds otherwise, or all), ``fact`` may be "".

    ``code``: ``shape``, ``fact``, ``outcome``, ``range`` (outside of what the fact can be), ``empty`` (a condition without
    a bound or a word), ``backwards`` (nothing is over the one and up to the other), ``many``.
    """

    def __init__(self, code: str, *, rule: int = 0, fact: str = "") -> None:
        super().__init__(f"{code} in rule {rule} {fact}".strip())
        self.code, self.rule, self.fact = code, rule, fact


@dataclass(frozen=True, slots=True)
class Number:
    """A fact that is a whole number from ``least`` to ``most``. ``turns``: it begins anew after the most, as a clock does."""

    least: int
    most: int
    turns: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """A fact that is one word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """What is weighed, by name; ``outcomes`` that rules may have; ``orders``: pairs of numbers, the first never the larger."""

    facts: Mapping[str, Number | Choice]
    outcomes: frozenset[str]
    orders: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Span:
    """Numbers over the one and up to the other; None: no such bound."""

    over: int | None = None
    up_to: int | None = None

    def holds(self, value: int) -> bool:
        """Whether the value is within."""
        return (self.over is None or value > self.over) and (
            self.up_to is None or value <= self.up_to
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Decides where all its conditions hold: by each number's spans, one of them, and by each word's set.

    ``note``: the writer's own words.
    """

    outcome: str
    spans: Mapping[str, tuple[Span, ...]] = field(default_factory=dict)
    words: Mapping[str, frozenset[str]] = field(default_factory=dict)
    note: str = ""

    def holds(self, facts: Facts) -> bool:
        """Whether all conditions hold. Raises KeyError for a fact that is missing."""
        return all(
            any(span.holds(int(facts[name])) for span in spans)
            for name, spans in self.spans.items()
        ) and all(facts[name] in words for name, words in self.words.items())


@dataclass(frozen=True, slots=True)
class Book:
    """Rules in their order; the first that holds decides, and ``otherwise`` where none does."""

    rules: tuple[Rule, ...]
    otherwise: str

    def outcome_of(self, number: int) -> str:
        """What follows from the rule with this number, or from none (``OTHERWISE``)."""
        return self.rules[number - 1].outcome if number else self.otherwise

    def facts_used(self) -> frozenset[str]:
        """What any of its rules weighs."""
        return frozenset(name for rule in self.rules for name in (*rule.spans, *rule.words))


def decide(book: Book, facts: Facts) -> int:
    """The number of the rule that decides, or ``OTHERWISE``."""
    for number, rule in enumerate(book.rules, start=1):
        if rule.holds(facts):
            return number
    return OTHERWISE


def read_book(content: Any, schema: Schema) -> Book:
    """A book from its JSON. Raises BadBook.

    ``{"rules": [{"when": {fact: condition}, "outcome": …, "note": …}, …], "otherwise": outcome}``; a condition is
    ``{"over": n, "up_to": n}`` (either may be missing), for a fact that turns ``{"from": n, "until": n}`` (half-open; from
    after until goes past the turn), or ``{"is": [words]}``.
    """
    if not isinstance(content, dict) or not isinstance(content.get("rules"), list):
        raise BadBook("shape")
    if len(content["rules"]) > MOST_RULES:
        raise BadBook("many")
    if content.get("otherwise") not in schema.outcomes:
        raise BadBook("outcome")
    rules = tuple(
        _read_rule(one, schema, number) for number, one in enumerate(content["rules"], start=1)
    )
    return Book(rules, content["otherwise"])


def _read_rule(content: Any, schema: Schema, number: int) -> Rule:
    if not isinstance(content, dict) or not isinstance(content.get("when"), dict):
        raise BadBook("shape", rule=number)
    if content.get("outcome") not in schema.outcomes:
        raise BadBook("outcome", rule=number)
    note = content.get("note", "")
    if not isinstance(note, str) or len(note) > NOTE_LENGTH:
        raise BadBook("shape", rule=number)
    spans: dict[str, tuple[Span, ...]] = {}
    words: dict[str, frozenset[str]] = {}
    for name, condition in content["when"].items():
        kind = schema.facts.get(name)
        if kind is None or not isinstance(condition, dict):
            raise BadBook("fact" if kind is None else "shape", rule=number, fact=name)
        try:
            if isinstance(kind, Choice):
                words[name] = _read_words(condition)
            elif kind.turns:
                spans[name] = _read_turn(condition, kind)
            else:
                spans[name] = (_read_span(condition, kind),)
        except BadBook as error:
            raise BadBook(error.code, rule=number, fact=name) from None
    return Rule(outcome=content["outcome"], spans=spans, words=words, note=note)


def _whole(value: Any, *, least: int, most: int) -> int:
    # True is an int to Python.
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadBook("shape")
    if not least <= value <= most:
        raise BadBook("range")
    return value


def _read_span(condition: dict[str, Any], kind: Number) -> Span:
    if not condition.keys() <= {"over", "up_to"}:
        raise BadBook("shape")
    if not condition:
        raise BadBook("empty")
    bounds = {
        name: _whole(value, least=kind.least - 1, most=kind.most)
        for name, value in condition.items()
    }
    span = Span(**bounds)
    if span.over is not None and span.up_to is not None and span.over >= span.up_to:
        raise BadBook("backwards")
    return span


def _read_turn(condition: dict[str, Any], kind: Number) -> tuple[Span, ...]:
    if condition.keys() != {"from", "until"}:
        raise BadBook("shape")
    begins = _whole(condition["from"], least=kind.least, most=kind.most)
    ends = _whole(condition["until"], least=kind.least, most=kind.most + 1)
    if begins == ends:
        raise BadBook("empty")
    if begins < ends:
        return (Span(begins - 1, ends - 1),)
    if ends == kind.least:
        return (Span(begins - 1, None),)
    return (Span(None, ends - 1), Span(begins - 1, None))


def _read_words(condition: dict[str, Any]) -> frozenset[str]:
    found = condition.get("is")
    if condition.keys() != {"is"} or not isinstance(found, list) or len(found) > MOST_WORDS:
        raise BadBook("shape")
    if not all(isinstance(word, str) and len(word) <= 40 for word in found):
        raise BadBook("shape")
    if not found:
        raise BadBook("empty")
    return frozenset(found)
