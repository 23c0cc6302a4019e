"""What a code says: all terms of one version, and whether they go together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from itertools import pairwise
from typing import Any, Final

from apps.core.money import MAX_AMOUNT_MINOR, Money
from apps.qrcodes.hours import Hours, hours_from
from apps.qrcodes.models import CodeVersion, NoteMode, Pricing

MOST_CHOICES: Final = 12
MOST_COUNT: Final = 1_000_000
NAME_LENGTH: Final = 60
NAME_EN_LENGTH: Final = 80
ANSWER_LENGTH: Final = 60
LANGUAGES: Final = ("", "zh-hans", "en")
WALLETS: Final = ("alipay", "wechatpay", "unionpay")


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceChoice:
    """One price of a list: what it is for, and fen."""

    name: str
    minor: int
    name_en: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeTerms:
    """The columns of ``CodeVersion`` that people decide on; amounts in fen, times aware UTC, None for no limit."""

    store_id: int
    name: str
    name_en: str = ""
    terminal_id: int | None = None
    details: Mapping[str, str] = field(default_factory=dict)
    pricing: str = Pricing.OPEN
    amount_minor: int | None = None
    choices: tuple[PriceChoice, ...] = ()
    currency: str = "CNY"
    note_mode: str = NoteMode.OPTIONAL
    note_label: str = ""
    hours: Hours = ()
    least_minor: int | None = None
    most_minor: int | None = None
    day_limit_minor: int | None = None
    day_limit_count: int | None = None
    total_limit_minor: int | None = None
    total_limit_count: int | None = None
    language: str = ""
    wallets: tuple[str, ...] = ()
    valid_from: datetime | None = None
    valid_until: datetime | None = None

    @property
    def prices(self) -> tuple[int, ...]:
        """The amounts that can be paid, in fen; () where the customer types one."""
        if self.pricing == Pricing.FIXED and self.amount_minor is not None:
            return (self.amount_minor,)
        return tuple(choice.minor for choice in self.choices)


@dataclass(frozen=True, slots=True)
class TermsProblem:
    """What does not go together: the field of ``CodeTerms`` and the reason, which ``refusals.terms_sentence`` puts in words."""

    field: str
    reason: str


def terms_of(version: CodeVersion) -> CodeTerms:
    """What a version says."""
    return CodeTerms(
        store_id=version.store_id,
        terminal_id=version.terminal_id,
        name=version.name,
        name_en=version.name_en,
        details=dict(version.details),
        pricing=version.pricing,
        amount_minor=version.amount_minor,
        choices=tuple(
            PriceChoice(name=one["name"], name_en=one.get("name_en", ""), minor=one["minor"])
            for one in version.choices
        ),
        currency=version.currency,
        note_mode=version.note_mode,
        note_label=version.note_label,
        hours=hours_from(version.hours),
        least_minor=version.least_minor,
        most_minor=version.most_minor,
        day_limit_minor=version.day_limit_minor,
        day_limit_count=version.day_limit_count,
        total_limit_minor=version.total_limit_minor,
        total_limit_count=version.total_limit_count,
        language=version.language,
        wallets=tuple(version.wallets),
        valid_from=version.valid_from,
        valid_until=version.valid_until,
    )


def terms_from(defaults: Mapping[str, Any], *, store_id: int) -> CodeTerms:
    """Terms that a template begins with; ``defaults`` are columns of ``CodeVersion`` by name, as JSON keeps them."""
    known = {
        name: value
        for name, value in defaults.items()
        if name in CodeTerms.__dataclass_fields__ and name not in {"store_id", "name"}
    }
    if "choices" in known:
        known["choices"] = tuple(PriceChoice(**one) for one in known["choices"])
    if "hours" in known:
        known["hours"] = hours_from(known["hours"])
    if "wallets" in known:
        known["wallets"] = tuple(known["wallets"])
    return CodeTerms(store_id=store_id, name="", **known)


def columns(terms: CodeTerms) -> dict[str, Any]:
    """The columns of ``CodeVersion`` that hold these terms."""
    values = {name: getattr(terms, name) for name in CodeTerms.__dataclass_fields__}
    return values | {
        "details": dict(terms.details),
        "choices": [asdict(choice) for choice in terms.choices],
        "hours": [[list(span) for span in day] for day in terms.hours],
        "wallets": list(terms.wallets),
    }


def money_of(minor: int | None, terms: CodeTerms) -> Money | None:
    """An amount of these terms."""
    return None if minor is None else Money(minor, terms.currency)


def plain(terms: CodeTerms) -> CodeTerms:
    """The same without what its own choices make idle: an amount that is not fixed, a label for no note."""
    fixed, listed = terms.pricing == Pricing.FIXED, terms.pricing == Pricing.LIST
    if (
        (fixed or terms.amount_minor is None)
        and (listed or not terms.choices)
        and (terms.note_mode != NoteMode.NONE or not terms.note_label)
    ):
        # As almost all are: of thousands at once only the others are made anew.
        return terms
    return replace(
        terms,
        amount_minor=terms.amount_minor if fixed else None,
        choices=terms.choices if listed else (),
        note_label="" if terms.note_mode == NoteMode.NONE else terms.note_label,
    )


def problems_of(terms: CodeTerms, *, now: datetime) -> list[TermsProblem]:
    """All that does not go together, each with its field; [] for sound terms."""
    return [TermsProblem(*found) for found in _problems(terms, now)]


def _problems(terms: CodeTerms, now: datetime) -> Iterator[tuple[str, str]]:
    if not terms.name:
        yield "name", "missing"
    if len(terms.name) > NAME_LENGTH:
        yield "name", "too_long"
    if len(terms.name_en) > NAME_EN_LENGTH:
        yield "name_en", "too_long"
    if any(len(answer) > ANSWER_LENGTH for answer in terms.details.values()):
        yield "details", "too_long"
    if terms.pricing not in Pricing.values:
        yield "pricing", "unknown"
    if terms.note_mode not in NoteMode.values:
        yield "note_mode", "unknown"
    if terms.language not in LANGUAGES:
        yield "language", "unknown"
    if not set(terms.wallets) <= set(WALLETS):
        yield "wallets", "unknown"
    yield from _price_problems(terms)
    yield from _limit_problems(terms)
    if terms.valid_from and terms.valid_until and terms.valid_until <= terms.valid_from:
        yield "valid_until", "before_it_begins"
    elif terms.valid_until is not None and terms.valid_until <= now:
        yield "valid_until", "over"


def _price_problems(terms: CodeTerms) -> Iterator[tuple[str, str]]:
    if terms.pricing == Pricing.FIXED and terms.amount_minor is None:
        yield "amount", "missing"
    if terms.pricing == Pricing.LIST:
        if not terms.choices:
            yield "choices", "missing"
        if len(terms.choices) > MOST_CHOICES:
            yield "choices", "too_many"
        names = [choice.name for choice in terms.choices]
        if len(set(names)) < len(names):
            yield "choices", "twice"
    field_name = "choices" if terms.pricing == Pricing.LIST else "amount"
    if any(not 0 < price <= MAX_AMOUNT_MINOR for price in terms.prices):
        yield field_name, "out_of_range"
    elif any(_outside(price, terms) for price in terms.prices):
        yield field_name, "outside_limits"


def _outside(price: int, terms: CodeTerms) -> bool:
    limits = (terms.most_minor, terms.day_limit_minor, terms.total_limit_minor)
    too_little = terms.least_minor is not None and price < terms.least_minor
    return too_little or any(limit is not None and price > limit for limit in limits)


def _limit_problems(terms: CodeTerms) -> Iterator[tuple[str, str]]:
    amounts = ("least_minor", "most_minor", "day_limit_minor", "total_limit_minor")
    for name in amounts:
        limit = getattr(terms, name)
        if limit is not None and not 0 < limit <= MAX_AMOUNT_MINOR * (
            1 if name in {"least_minor", "most_minor"} else 1_000
        ):
            yield name, "out_of_range"
    for name in ("day_limit_count", "total_limit_count"):
        limit = getattr(terms, name)
        if limit is not None and not 0 < limit <= MOST_COUNT:
            yield name, "out_of_range"
    # Each next one must leave room for the one before.
    given = [(name, getattr(terms, name)) for name in amounts if getattr(terms, name) is not None]
    for (_before, smaller), (name, larger) in pairwise(given):
        if larger < smaller:
            yield name, "below_the_one_before"
    counts = (terms.day_limit_count, terms.total_limit_count)
    if counts[0] is not None and counts[1] is not None and counts[1] < counts[0]:
        yield "total_limit_count", "below_the_one_before"
