"""A code's terms in words: what holds, what changed from one version to the next, why they are refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _

from apps.core.clock import CHINA
from apps.core.money import MAX_AMOUNT_MINOR, Money
from apps.core.names import named
from apps.core.templatetags.portal import platform_label
from apps.qrcodes.hours import Hours, HoursRefused, written
from apps.qrcodes.models import CodeVersion, NoteMode, Pricing
from apps.qrcodes.scenarios import Question
from apps.qrcodes.terms import MOST_CHOICES, MOST_COUNT, CodeTerms, terms_of


@dataclass(frozen=True, slots=True)
class Fact:
    """One term in words; ``lines`` is never empty."""

    label: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """What one term was before, and is after."""

    label: str
    before: tuple[str, ...]
    after: tuple[str, ...]


def weekday_names() -> list[str]:
    """Monday first."""
    return [
        _("Monday"),
        _("Tuesday"),
        _("Wednesday"),
        _("Thursday"),
        _("Friday"),
        _("Saturday"),
        _("Sunday"),
    ]


def moment(at: datetime) -> str:
    """A moment in China's zone, to the minute."""
    return at.astimezone(CHINA).strftime("%Y-%m-%d %H:%M")


def hours_lines(hours: Hours) -> tuple[str, ...]:
    """Opening hours, days of the same hours together."""
    if not hours:
        return (_("always"),)
    names, texts = weekday_names(), written(hours)
    lines: list[str] = []
    first = 0
    for day in range(1, len(texts) + 1):
        if day < len(texts) and texts[day] == texts[first]:
            continue
        days = names[first] if day - first == 1 else f"{names[first]} – {names[day - 1]}"
        spans = texts[first].replace("-", "–") or _("closed")
        lines.append(f"{days}: {spans}")
        first = day
    return tuple(lines)


def _pricing(terms: CodeTerms) -> tuple[str, ...]:
    if terms.pricing == Pricing.FIXED and terms.amount_minor is not None:
        return (_display(terms.amount_minor, terms),)
    if terms.pricing == Pricing.LIST:
        return tuple(
            f"{choice.name} {_display(choice.minor, terms)}"
            if choice.name != _display(choice.minor, terms)
            else choice.name
            for choice in terms.choices
        )
    return (_("The customer types the amount"),)


def _display(minor: int, terms: CodeTerms) -> str:
    return Money(minor, terms.currency).display()


def _note(terms: CodeTerms) -> tuple[str, ...]:
    words = str(NoteMode(terms.note_mode).label)
    return (f"{words} ({terms.note_label})" if terms.note_label else words,)


def _limits(terms: CodeTerms) -> Iterator[tuple[str, str]]:
    amounts = [
        (_("Least of one payment"), terms.least_minor),
        (_("Most of one payment"), terms.most_minor),
        (_("Most of a day"), terms.day_limit_minor),
        (_("Most in all"), terms.total_limit_minor),
    ]
    for label, minor in amounts:
        if minor is not None:
            yield label, _display(minor, terms)
    counts = [
        (_("Payments a day"), terms.day_limit_count),
        (_("Payments in all"), terms.total_limit_count),
    ]
    for label, count in counts:
        if count is not None:
            yield label, f"{count:,}"


def _valid(terms: CodeTerms) -> tuple[str, ...]:
    if terms.valid_from and terms.valid_until:
        return (f"{moment(terms.valid_from)} – {moment(terms.valid_until)}",)
    if terms.valid_from:
        return (_("from %(time)s") % {"time": moment(terms.valid_from)},)
    if terms.valid_until:
        return (_("until %(time)s") % {"time": moment(terms.valid_until)},)
    return (_("always"),)


def _language(terms: CodeTerms) -> str:
    return {"zh-hans": _("Chinese"), "en": _("English")}.get(
        terms.language, _("the customer's own")
    )


def facts_of(version: CodeVersion, questions: Sequence[Question]) -> list[Fact]:
    """All that a version says, in the page's language; limits that are not set are left out."""
    terms = terms_of(version)
    facts = [
        Fact(_("Store"), (named(version.store),)),
        Fact(_("Name"), (terms.name,)),
        *([Fact(_("English name"), (terms.name_en,))] if terms.name_en else []),
        *(Fact(label, (answer,)) for label, answer in answers_of(terms.details, questions)),
        Fact(_("Amount"), _pricing(terms)),
        Fact(_("Customer’s note"), _note(terms)),
        Fact(_("Opening hours"), hours_lines(terms.hours)),
        Fact(_("Valid"), _valid(terms)),
        *(Fact(label, (text,)) for label, text in _limits(terms)),
        Fact(_("Language of the customer's page"), (_language(terms),)),
        Fact(
            _("Wallets"),
            tuple(platform_label(wallet) for wallet in terms.wallets)
            or (_("all that the store takes"),),
        ),
    ]
    if version.terminal is not None:
        facts.append(Fact(_("Terminal"), (version.terminal.name,)))
    return facts


def answers_of(details: Mapping[str, str], questions: Sequence[Question]) -> list[tuple[str, str]]:
    """The answers to a scenario's questions with their labels; one that is asked no more keeps its key."""
    labels = {question.key: str(question.label) for question in questions}
    ordered = [key for key in labels if details.get(key)]
    ordered += [key for key in details if key not in labels and details[key]]
    return [(labels.get(key, key), details[key]) for key in ordered]


def changes_between(
    before: CodeVersion, after: CodeVersion, questions: Sequence[Question]
) -> list[Change]:
    """What one version says otherwise than another, term by term."""
    old = {fact.label: fact.lines for fact in facts_of(before, questions)}
    new = {fact.label: fact.lines for fact in facts_of(after, questions)}
    labels = [*new, *(label for label in old if label not in new)]
    return [
        Change(label, old.get(label, ()), new.get(label, ()))
        for label in labels
        if old.get(label, ()) != new.get(label, ())
    ]


def hours_sentence(refused: HoursRefused) -> str:
    """Why a day's opening hours cannot be read."""
    words = {"text": refused.text}
    match refused.reason:
        case "clock":
            return _("“%(text)s” is no time of the day. Hours go from 00:00 to 24:00.") % words
        case "empty":
            return _("“%(text)s” ends as it begins. For a whole day write 00:00-24:00.") % words
        case "overlap" if refused.text:
            return _("The hours “%(text)s” overlap.") % words
        case "overlap":
            return _("A night runs into the opening hours of the next day. Shorten one of them.")
        case "too_many":
            return _("At most four spans a day.")
        case _other:
            return _("“%(text)s”: write hours as 09:00-21:00, several apart by commas.") % words


def terms_sentence(field: str, reason: str) -> str:
    """Why terms do not go together, to stand at their field."""
    match field, reason:
        case "amount", "missing":
            return _("Enter the amount.")
        case "choices", "missing":
            return _("Write at least one price, one a line, such as: Small cup 12.00")
        case "choices", "too_many":
            return _("A list has at most %(most)d prices.") % {"most": MOST_CHOICES}
        case "choices", "twice":
            return _("Two prices have the same name. Customers could not tell them apart.")
        case (("amount" | "choices"), "outside_limits"):
            return _("A price lies outside the limits below, so that nobody could pay it.")
        case _field, "below_the_one_before":
            return _(
                "This leaves no room for the smaller limit above. Raise it, or lower that one."
            )
        case (("day_limit_count" | "total_limit_count"), "out_of_range"):
            return _("A count is 1 to %(most)s. Leave it empty for no limit.") % {
                "most": f"{MOST_COUNT:,}"
            }
        case _field, "out_of_range":
            return _("An amount is ¥0.01 to ¥%(most)s. Leave it empty for no limit.") % {
                "most": f"{MAX_AMOUNT_MINOR // 100:,}.00"
            }
        case "valid_until", "before_it_begins":
            return _("The end must come after the beginning of the period.")
        case "valid_until", "over":
            return _("This end is past. To take a code out of use, freeze or retire it.")
        case "store", "closed":
            return _("This store is closed. Open it first, or choose another.")
        case "terminal", "elsewhere":
            return _("This terminal belongs to another store.")
        case "starts_at", "too_many":
            return _("Ten changes are planned already. Withdraw one first.")
        case "starts_at", "twice":
            return _("Another change begins at the same moment. Withdraw it, or take another time.")
        case _field, "too_long":
            return _("This is too long.")
        case _other:
            return _("This does not go together any more. Look at it again.")
