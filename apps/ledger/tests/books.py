"""Entries for tests: made at random, and counted by hand."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, date, datetime, time

from hypothesis import strategies as st

from apps.core.audit import Actor
from apps.core.money import Money
from apps.ledger.models import Adjustment, AdjustmentReason, BusinessDay, Purpose
from apps.ledger.services import Line, post, post_adjustment
from apps.merchants.tests.factories import NOW, Shop

DESK = Actor("fiona@tea.test")
#: Accounts that random entries book to: purpose and subject.
PLACES = (
    (Purpose.RECEIVABLE, 7),
    (Purpose.RECEIVABLE, 8),
    (Purpose.BANK, 0),
    (Purpose.SALES, 0),
    (Purpose.FEES, 0),
    (Purpose.SUSPENSE, 0),
)
DAYS = [date(2026, 11, day) for day in range(20, 25)]


@dataclass(frozen=True)
class Drawn:
    """One entry: its day and what it moves, by account."""

    day: date
    sides: tuple[tuple[int, int], ...]
    memo: str

    @property
    def lines(self) -> list[Line]:
        return [
            Line(purpose=PLACES[place][0], subject_id=PLACES[place][1], amount=Money(minor))
            for place, minor in self.sides
        ]


@st.composite
def entries(draw: st.DrawFn) -> Drawn:
    """A balanced entry of two to five sides."""
    minors = draw(
        st.lists(st.integers(-10_000_000, 10_000_000).filter(bool), min_size=1, max_size=4).filter(
            lambda found: sum(found) != 0
        )
    )
    minors.append(-sum(minors))
    places = draw(
        st.lists(st.integers(0, len(PLACES) - 1), min_size=len(minors), max_size=len(minors))
    )
    memo = draw(
        st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=30)
    )
    return Drawn(draw(st.sampled_from(DAYS)), tuple(zip(places, minors, strict=True)), memo)


def book(drawn: list[Drawn], *, start: int = 1) -> None:
    """Post them, as payments that nobody has."""
    for number, one in enumerate(drawn, start=start):
        post(
            kind="payment",
            subject_kind="payment",
            subject_id=number,
            at=datetime.combine(one.day, time(4), tzinfo=UTC),
            booked_date=one.day,
            memo=one.memo,
            lines=one.lines,
        )


def counted(drawn: list[Drawn], first: date, last: date) -> dict[tuple[str, int], list[int]]:
    """Opening, debit and credit by account (purpose and subject), counted without the database."""
    sums: dict[tuple[str, int], list[int]] = defaultdict(lambda: [0, 0, 0])
    for one in drawn:
        if one.day > last:
            continue
        for place, minor in one.sides:
            purpose, subject = PLACES[place]
            side = 0 if one.day < first else 1 if minor > 0 else 2
            sums[purpose.value, subject][side] += minor if side < 2 else -minor
    return dict(sums)


def sides(minor: int = 500) -> list[Line]:
    """A difference found: debit adjustments, credit suspense."""
    return [
        Line(purpose=Purpose.ADJUSTMENTS, amount=Money(minor)),
        Line(purpose=Purpose.SUSPENSE, amount=Money(-minor)),
    ]


def adjust(shop: Shop, minor: int = 500, **changes: object) -> Adjustment:
    """An adjustment that the finance member asks for."""
    fields: dict[str, object] = {
        "reason": AdjustmentReason.ROUNDING,
        "memo": "尾差",
        "lines": sides(minor),
        "at": NOW,
        "member": shop["finance"],
        "actor": DESK,
        "now": NOW,
    }
    return post_adjustment(**(fields | changes))  # type: ignore[arg-type]  # the dictionary mixes types on purpose


def close(day: date) -> None:
    """Close a business day."""
    BusinessDay.objects.update_or_create(day=day, defaults={"is_closed": True})
