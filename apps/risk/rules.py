"""What can be watched: each kind of rule with its thresholds, their bounds, and what may follow.

A book of rules is data: ``{"code_velocity": {"on": true, "outcome": "flag", "count": 20, "minutes": 10}, …}``. This module
is its only reader and its only writer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.core.money import MAX_AMOUNT_MINOR


class RuleKind(models.TextChoices):
    """What is watched."""

    CODE_VELOCITY = "code_velocity", _("Many payments by one code")
    PAYER_VELOCITY = "payer_velocity", _("Many payments by one payer")
    CASHIER_VELOCITY = "cashier_velocity", _("Many payments by one cashier")
    FAILED_ATTEMPTS = "failed_attempts", _("Many failed attempts")
    ODD_AMOUNT = "odd_amount", _("Unusual amount")
    STRUCTURING = "structuring", _("Just below a threshold, again and again")
    NIGHT = "night", _("Busy at night")
    REFUND_RATE = "refund_rate", _("High share of refunds")
    CASHIER_REFUNDS = "cashier_refunds", _("Many refunds by one cashier")
    NEW_PLACE = "new_place", _("Old code at a new place")
    PAYER_DAY = "payer_day", _("Payer's daily limit at codes")
    CODE_DAY = "code_day", _("Code's daily limit")


class Outcome(models.TextChoices):
    """What follows when a rule finds something. The last three are ordered by how much they stand in a payer's way."""

    FLAG = "flag", _("Alert only")
    CONFIRM = "confirm", _("Ask the payer to confirm")
    HOLD = "hold", _("Hold for review")
    FREEZE = "freeze", _("Freeze the code")


class Subject(models.TextChoices):
    """Whom an alert is about."""

    CODE = "code", _("Code")
    PAYER = "payer", _("Payer")
    MEMBER = "member", _("Cashier")
    STORE = "store", _("Store")


class Unit(StrEnum):
    """How a threshold is typed and read."""

    COUNT = "count"
    MINUTES = "minutes"
    HOURS = "hours"
    DAYS = "days"
    MINOR = "minor"
    PERCENT = "percent"
    TIMES = "times"
    CLOCK = "clock"


@dataclass(frozen=True, slots=True)
class Threshold:
    """One number of a rule: money in fen, everything else whole numbers of its unit. Bounds are included."""

    name: str
    unit: Unit
    usual: int
    least: int
    most: int


@dataclass(frozen=True, slots=True)
class Watch:
    """One kind of rule. It is counted after the fact; ``at_begin``: also judged before a payment by a code begins;
    ``at_till``: also before a code that a cashier scanned is shown to the platform.
    """

    kind: RuleKind
    subject: Subject
    thresholds: tuple[Threshold, ...]
    outcomes: tuple[Outcome, ...]
    at_begin: bool = False
    at_till: bool = False
    usually_on: bool = True


def _count(usual: int, least: int = 2) -> Threshold:
    return Threshold("count", Unit.COUNT, usual, least, 10_000)


def _minor(usual: int) -> Threshold:
    return Threshold("minor", Unit.MINOR, usual, 1, MAX_AMOUNT_MINOR)


def _minutes(usual: int) -> Threshold:
    return Threshold("minutes", Unit.MINUTES, usual, 1, 1440)


def _hours(usual: int) -> Threshold:
    return Threshold("hours", Unit.HOURS, usual, 1, 168)


_AFTER_CODE: Final = (Outcome.FLAG, Outcome.HOLD, Outcome.FREEZE)
_FLAG: Final = (Outcome.FLAG,)
_TILL: Final = (Outcome.FLAG, Outcome.CONFIRM, Outcome.HOLD)
_BEGIN: Final = (Outcome.FLAG, Outcome.CONFIRM, Outcome.HOLD, Outcome.FREEZE)

WATCHES: Final[Mapping[RuleKind, Watch]] = {
    watch.kind: watch
    for watch in (
        Watch(RuleKind.CODE_VELOCITY, Subject.CODE, (_count(30), _minutes(10)), _AFTER_CODE),
        Watch(RuleKind.PAYER_VELOCITY, Subject.PAYER, (_count(6), _minutes(60)), _FLAG),
        Watch(
            RuleKind.CASHIER_VELOCITY,
            Subject.MEMBER,
            (_count(30), _minutes(10)),
            _TILL,
            at_till=True,
        ),
        Watch(RuleKind.FAILED_ATTEMPTS, Subject.CODE, (_count(10), _minutes(30)), _AFTER_CODE),
        Watch(
            RuleKind.ODD_AMOUNT,
            Subject.STORE,
            (_minor(100_000), Threshold("times", Unit.TIMES, 20, 2, 1000)),
            _TILL,
            at_till=True,
        ),
        Watch(
            RuleKind.STRUCTURING,
            Subject.PAYER,
            (
                _minor(50_000),
                Threshold("percent", Unit.PERCENT, 10, 1, 50),
                _count(3),
                _hours(24),
            ),
            _FLAG,
        ),
        Watch(
            RuleKind.NIGHT,
            Subject.STORE,
            (
                Threshold("begins", Unit.CLOCK, 1, 0, 23),
                Threshold("ends", Unit.CLOCK, 5, 0, 23),
                _count(5, 1),
                _minor(50_000),
            ),
            _TILL,
            at_till=True,
        ),
        Watch(
            RuleKind.REFUND_RATE,
            Subject.STORE,
            (
                Threshold("percent", Unit.PERCENT, 20, 1, 100),
                _count(5, 1),
                Threshold("days", Unit.DAYS, 7, 1, 30),
            ),
            _FLAG,
        ),
        Watch(RuleKind.CASHIER_REFUNDS, Subject.MEMBER, (_count(10), _hours(24)), _FLAG),
        Watch(
            RuleKind.NEW_PLACE,
            Subject.CODE,
            (Threshold("days", Unit.DAYS, 14, 1, 60), _count(20, 1)),
            _AFTER_CODE,
        ),
        Watch(
            RuleKind.PAYER_DAY,
            Subject.PAYER,
            (_minor(50_000),),
            _BEGIN,
            at_begin=True,
            usually_on=False,
        ),
        Watch(
            RuleKind.CODE_DAY,
            Subject.CODE,
            (_minor(2_000_000),),
            _BEGIN,
            at_begin=True,
            usually_on=False,
        ),
    )
}
#: Days before a period from which facts are still needed to judge its first day.
ODD_DAYS: Final = 30
#: An average of fewer payments says nothing.
ODD_OTHERS: Final = 20


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as a book has it. ``values`` by the thresholds' names."""

    kind: RuleKind
    is_on: bool
    outcome: Outcome
    values: Mapping[str, int]

    @property
    def watch(self) -> Watch:
        """Its kind's thresholds and outcomes."""
        return WATCHES[self.kind]

    def __getitem__(self, name: str) -> int:
        return self.values[name]


Rules = Mapping[RuleKind, Rule]


class BadRules(ValueError):
    """A book that cannot hold. ``kind`` and ``name`` say where: a threshold's name, ``"outcome"``, or "" for the whole."""

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"{kind}.{name}")
        self.kind = kind
        self.name = name


def read_rules(book: Mapping[str, Any]) -> dict[RuleKind, Rule]:
    """The rules of a book, in the catalogue's order; what the book does not mention is as usual."""
    return {kind: _read(watch, book.get(kind.value, {})) for kind, watch in WATCHES.items()}


def _read(watch: Watch, kept: Mapping[str, Any]) -> Rule:
    return Rule(
        kind=watch.kind,
        is_on=bool(kept.get("on", watch.usually_on)),
        outcome=Outcome(kept.get("outcome", Outcome.FLAG)),
        values={one.name: int(kept.get(one.name, one.usual)) for one in watch.thresholds},
    )


def write_rules(rules: Rules) -> dict[str, dict[str, Any]]:
    """A book as it is stored. Raises BadRules."""
    check_rules(rules)
    return {
        kind.value: {"on": rule.is_on, "outcome": rule.outcome.value, **rule.values}
        for kind, rule in rules.items()
    }


def check_rules(rules: Rules) -> None:
    """Raises BadRules for the first number out of its bounds, an outcome its kind does not have, or a night without hours."""
    if set(rules) != set(WATCHES):
        raise BadRules("", "")
    for kind, rule in rules.items():
        watch = WATCHES[kind]
        if rule.outcome not in watch.outcomes:
            raise BadRules(kind, "outcome")
        if set(rule.values) != {one.name for one in watch.thresholds}:
            raise BadRules(kind, "")
        for one in watch.thresholds:
            if not one.least <= rule[one.name] <= one.most:
                raise BadRules(kind, one.name)
    night = rules[RuleKind.NIGHT]
    if night["begins"] == night["ends"]:
        raise BadRules(RuleKind.NIGHT, "ends")


class Doubt(StrEnum):
    """What is worth a look before a book is saved: rules that contradict each other or can never find anything."""

    CODE_BEFORE_PAYER = "code_before_payer"
    CODE_FREEZES_SHOP = "code_freezes_shop"
    PAYER_ABOVE_CODE = "payer_above_code"
    NIGHT_IS_DAY = "night_is_day"


def doubts(rules: Rules) -> list[Doubt]:
    """The doubts about a book that may be saved all the same."""
    found = []
    payer, code = rules[RuleKind.PAYER_DAY], rules[RuleKind.CODE_DAY]
    if payer.is_on and code.is_on and code.outcome is not Outcome.FLAG:
        if code["minor"] <= payer["minor"]:
            found.append(Doubt.CODE_BEFORE_PAYER)
        if code.outcome is Outcome.FREEZE and payer.outcome is Outcome.FREEZE:
            found.append(Doubt.CODE_FREEZES_SHOP)
    one, many = rules[RuleKind.PAYER_VELOCITY], rules[RuleKind.CODE_VELOCITY]
    if (
        one.is_on
        and many.is_on
        and one["count"] > many["count"]
        and one["minutes"] <= many["minutes"]
    ):
        found.append(Doubt.PAYER_ABOVE_CODE)
    night = rules[RuleKind.NIGHT]
    if night.is_on and (night["ends"] - night["begins"]) % 24 > 12:
        found.append(Doubt.NIGHT_IS_DAY)
    return found


def lookback_days(books: Sequence[Rules]) -> int:
    """How many days before a period facts are needed to judge it by any of these."""
    days = 1
    for rules in books:
        for kind, rule in rules.items():
            if not rule.is_on:
                continue
            if kind is RuleKind.ODD_AMOUNT:
                days = max(days, ODD_DAYS + 1)
            elif kind is RuleKind.NEW_PLACE:
                # Payments since the code has hung at its old place, and as long again for a quiet one.
                days = max(days, 2 * rule["days"])
            elif "days" in rule.values:
                days = max(days, rule["days"])
            elif "hours" in rule.values:
                days = max(days, rule["hours"] // 24 + 1)
    return days
