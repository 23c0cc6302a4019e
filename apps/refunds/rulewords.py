"""Refund rules as sentences, in the reader's language."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from django.utils.functional import Promise
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext

from apps.core.money import Money
from apps.core.rules import OTHERWISE, Book, Problem, Rule, Span
from apps.merchants.models import Role
from apps.platforms.models import PlatformChoice
from apps.qrcodes.models import ScenarioKind
from apps.refunds.models import ReasonCode
from apps.refunds.rulefacts import FACTS

OUTCOME_WORDS: Final[Mapping[str, str | Promise]] = {
    "at_once": gettext_lazy("sent at once"),
    "one": gettext_lazy("another authorised member must confirm"),
    "two": gettext_lazy("two other authorised members must confirm"),
    "one_finance": gettext_lazy("another owner or finance member must confirm"),
    "two_finance": gettext_lazy("two other owners or finance members must confirm"),
    "refuse": gettext_lazy("refused"),
}

_HOUR: Final = 60
_DAY: Final = 24 * 60
_HUNDREDTHS: Final = 100


@dataclass(frozen=True, slots=True)
class Line:
    """One rule of a book as a sentence. ``number`` ``OTHERWISE``: the last line, for everything else."""

    number: int
    when: str
    outcome: str
    outcome_words: str
    note: str = ""

    @property
    def sentence(self) -> str:
        """The whole of it."""
        return _("%(when)s: %(outcome)s.") % {"when": self.when, "outcome": self.outcome_words}


def percent(share: int) -> str:
    """A share in hundredths of a percent, as people write it."""
    whole, rest = divmod(share, _HUNDREDTHS)
    return f"{whole}.{rest:02d}".rstrip("0").rstrip(".") + " %" if rest else f"{whole} %"


def duration(minutes: int) -> str:
    """A length of time in the largest unit that says it whole."""
    if minutes and minutes % _DAY == 0:
        days = minutes // _DAY
        return ngettext("%(count)d day", "%(count)d days", days) % {"count": days}
    if minutes and minutes % _HOUR == 0:
        hours = minutes // _HOUR
        return ngettext("%(count)d hour", "%(count)d hours", hours) % {"count": hours}
    return ngettext("%(count)d minute", "%(count)d minutes", minutes) % {"count": minutes}


def clock_time(minute: int) -> str:
    """A minute of the day; the end of the day is 24:00."""
    return f"{minute // _HOUR:02d}:{minute % _HOUR:02d}"


def within(days: int) -> str:
    """How far back something is counted."""
    return _("within 24 hours") if days == 1 else _("within %(count)d days") % {"count": days}


def _bounded(span: Span, value: str, over: str, up_to: str, both: str) -> str:
    """The phrase for a span's bounds; ``value`` says which of the words below make a number readable."""
    shown = _SHOWN[value]
    words = {
        "over": "" if span.over is None else shown(span.over),
        "up_to": "" if span.up_to is None else shown(span.up_to),
    }
    if span.over is None:
        return up_to % words
    return (over if span.up_to is None else both) % words


def _money(minor: int) -> str:
    return Money(minor).display()


_SHOWN: Final[Mapping[str, Callable[[int], str]]] = {
    "money": _money,
    "share": percent,
    "age": duration,
    "count": str,
}


def _amount(span: Span) -> str:
    return _bounded(
        span,
        "money",
        _("over %(over)s at a time"),
        _("up to %(up_to)s at a time"),
        _("over %(over)s and up to %(up_to)s at a time"),
    )


def _total(span: Span) -> str:
    return _bounded(
        span,
        "money",
        _("over %(over)s in all for one payment"),
        _("up to %(up_to)s in all for one payment"),
        _("over %(over)s and up to %(up_to)s in all for one payment"),
    )


def _share(span: Span) -> str:
    return _bounded(
        span,
        "share",
        _("over %(over)s of the payment in all"),
        _("up to %(up_to)s of the payment in all"),
        _("over %(over)s and up to %(up_to)s of the payment in all"),
    )


def _age(span: Span) -> str:
    return _bounded(
        span,
        "age",
        _("more than %(over)s after it was paid"),
        _("up to %(up_to)s after it was paid"),
        _("more than %(over)s and up to %(up_to)s after it was paid"),
    )


def _whose(who: str) -> str:
    return {
        "payer": _("for the same payer"),
        "asker": _("asked for by the same member"),
        "store": _("in the same store"),
    }[who]


def _counted(name: str, span: Span) -> str:
    """Such as "more than 3 refunds for the same payer within 7 days"."""
    who, what, days = name.split("_")
    if what == "count":
        quantity = _bounded(
            span,
            "count",
            _("more than %(over)s refunds"),
            _("up to %(up_to)s refunds"),
            _("more than %(over)s and up to %(up_to)s refunds"),
        )
    else:
        quantity = _bounded(
            span,
            "money",
            _("refunds of more than %(over)s together"),
            _("refunds of up to %(up_to)s together"),
            _("refunds of more than %(over)s and up to %(up_to)s together"),
        )
    return _("%(quantity)s %(whose)s %(within)s") % {
        "quantity": quantity,
        "whose": _whose(who),
        "within": within(int(days)),
    }


def _time(spans: Sequence[Span]) -> str:
    """The hours of the day, from the spans that a turn was cut into."""
    begins = max(0 if span.over is None else span.over + 1 for span in spans)
    ends = min(_DAY if span.up_to is None else span.up_to + 1 for span in spans)
    return _("between %(begins)s and %(ends)s") % {
        "begins": clock_time(begins),
        "ends": clock_time(ends),
    }


_SPANS: Final = {"amount": _amount, "total": _total, "share": _share, "age": _age}


def _words(name: str, words: frozenset[str], stores: Mapping[str, str]) -> str:
    """A set of words as a phrase; those of a kind that is gone are left as they are."""
    labels: Mapping[str, str | Promise] = word_choices(name, stores)
    chosen = [
        str(labels.get(word, word))
        for word in (*labels, *sorted(words - labels.keys()))
        if word in words
    ]
    if name == "origin":
        chosen = [text[:1].lower() + text[1:] for text in chosen]
    between = (
        _("” or “") if name == "reason" else pgettext("between the last two of a choice", " or ")
    )
    either = between.join(chosen)
    return {
        "store": _("at %(either)s"),
        "code": _("paid through %(either)s"),
        "platform": _("on %(either)s"),
        "asker": _("asked for by %(either)s"),
        "reason": _("for the reason “%(either)s”"),
        "origin": _("asked for %(either)s"),
    }[name] % {"either": either}


def word_choices(name: str, stores: Mapping[str, str]) -> dict[str, str | Promise]:
    """All that a fact can be that is a word, with what it is called. ``stores``: their names by id."""
    if name == "store":
        return {**stores, "": _("No store")}
    if name == "code":
        return {**dict(ScenarioKind.choices), "": _("No code")}
    if name == "platform":
        return dict(PlatformChoice.choices)
    if name == "asker":
        return {**dict(Role.choices), "": _("Nobody in the team")}
    if name == "reason":
        return dict(ReasonCode.choices)
    return {"member": _("By a member"), "receipt": _("By the customer on the receipt")}


def _spans(name: str, spans: Sequence[Span]) -> str:
    if name == "minute":
        return _time(spans)
    return _SPANS[name](spans[0]) if name in _SPANS else _counted(name, spans[0])


def rule_when(rule: Rule, stores: Mapping[str, str]) -> str:
    """A rule's conditions as one phrase that begins a sentence."""
    # In one order, whatever order the database keeps the keys in.
    parts = [_spans(name, rule.spans[name]) for name in FACTS if name in rule.spans]
    parts += [_words(name, rule.words[name], stores) for name in FACTS if name in rule.words]
    return capfirst(pgettext("between conditions", ", ").join(parts)) or _("Every refund")


def lines(book: Book, stores: Mapping[str, str]) -> list[Line]:
    """A book as sentences, what holds otherwise last."""
    found = [
        Line(
            number,
            rule_when(rule, stores),
            rule.outcome,
            str(OUTCOME_WORDS[rule.outcome]),
            rule.note,
        )
        for number, rule in enumerate(book.rules, start=1)
    ]
    return [*found, line_of(book, OTHERWISE, stores)]


def line_of(book: Book, number: int, stores: Mapping[str, str]) -> Line:
    """One line of a book."""
    if number == OTHERWISE:
        words = str(OUTCOME_WORDS[book.otherwise])
        when = _("Everything else") if book.rules else _("Every refund")
        return Line(OTHERWISE, when, book.otherwise, words)
    rule = book.rules[number - 1]
    words = str(OUTCOME_WORDS[rule.outcome])
    return Line(number, rule_when(rule, stores), rule.outcome, words, rule.note)


def why(book: Book, number: int, stores: Mapping[str, str]) -> str:
    """Why a refund was decided as it was: the sentence that decided, and the writer's own words."""
    line = line_of(book, number, stores)
    return f"{line.sentence} {line.note}".strip()


def problem_words(problem: Problem) -> str:
    """What is wrong with a rule that never decides."""
    rules = pgettext("between the last two of a choice", " or ").join(
        str(number) for number in problem.by
    )
    if problem.code == "impossible":
        return _("Its conditions can never hold together, so it never decides.")
    if problem.number == OTHERWISE:
        return _("The rules above leave nothing over for it.")
    several = len(problem.by) > 1
    if problem.code == "repeats":
        if several:
            return _("It never decides: the rules %(rules)s come first and say the same.") % {
                "rules": rules
            }
        return _("It never decides: rule %(rules)s comes first and says the same.") % {
            "rules": rules
        }
    if several:
        return _("It never decides: the rules %(rules)s come first and say otherwise.") % {
            "rules": rules
        }
    return _("It never decides: rule %(rules)s comes first and says otherwise.") % {"rules": rules}
