"""Which bank lines pay which settlements: sums are exact, nothing is used twice, the order does not matter."""

from __future__ import annotations

import random
from datetime import date, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from apps.statements.services.pairing import MOST_SETTLEMENTS, Arrived, Owed, Pair, find_pairs

MONDAY = date(2026, 11, 16)
WINDOW = timedelta(days=5)


def owed(pk: int, minor: int, *, day: int = 0, due: int | None = None) -> Owed:
    first = MONDAY + timedelta(days=day)
    return Owed(pk, first, MONDAY + timedelta(days=day + 1 if due is None else due), minor)


def line(pk: int, minor: int, *, day: int = 1) -> Arrived:
    return Arrived(pk, MONDAY + timedelta(days=day), minor)


def taken(owes: list[Owed], lines: list[Arrived]) -> list[Pair]:
    return find_pairs(owes, lines, window=WINDOW)[0]


def test_one_line_pays_one_settlement() -> None:
    assert taken([owed(1, 500)], [line(9, 500)]) == [Pair((9,), (1,))]


def test_a_line_pays_a_weekend_together() -> None:
    weekend = [owed(1, 500, day=4, due=7), owed(2, 300, day=5, due=7), owed(3, 200, day=6, due=7)]
    assert taken(weekend, [line(9, 1_000, day=7)]) == [Pair((9,), (1, 2, 3))]


def test_a_day_below_zero_is_taken_off_the_next() -> None:
    assert taken([owed(1, -30), owed(2, 130, day=1)], [line(9, 100, day=2)]) == [Pair((9,), (1, 2))]


def test_several_lines_pay_one_settlement() -> None:
    assert taken([owed(1, 1_000)], [line(8, 400), line(9, 600)]) == [Pair((8, 9), (1,))]


def test_equal_sums_are_told_apart_by_their_due_day_alone() -> None:
    two = [owed(1, 500), owed(2, 500, day=1)]
    assert taken(two, [line(9, 500, day=2)]) == [Pair((9,), (2,))]
    # On no due day either could be meant.
    pairs, rivals = find_pairs(two, [line(9, 500, day=3)], window=WINDOW)
    assert (pairs, rivals) == ([], [Pair((9,), (1,)), Pair((9,), (2,))])


def test_two_ways_to_make_a_sum_are_left_alone() -> None:
    pairs, rivals = find_pairs(
        [owed(1, 600), owed(2, 400, day=1), owed(3, 600, day=2)],
        [line(9, 1_000, day=3)],
        window=WINDOW,
    )
    assert pairs == []
    assert rivals == [Pair((9,), (1, 2)), Pair((9,), (2, 3))]


def test_too_late_too_early_or_a_fen_off_is_no_pair() -> None:
    assert taken([owed(1, 500)], [line(9, 500, day=7)]) == []
    assert taken([owed(1, 500, due=3)], [line(9, 500, day=1)]) == []
    assert taken([owed(1, 500)], [line(9, 501)]) == []
    assert taken([owed(1, 500)], [line(9, 500, day=0)]) == [Pair((9,), (1,))]


def test_no_line_pays_more_settlements_than_a_long_holiday_has() -> None:
    many = [owed(number, 100 + number, day=number, due=40) for number in range(20)]
    whole = sum(one.minor for one in many)
    some = sum(one.minor for one in many[-MOST_SETTLEMENTS:])
    assert taken(many, [line(99, whole, day=40)]) == []
    assert len(taken(many, [line(99, some, day=40)])[0].settlements) == MOST_SETTLEMENTS


settlements = st.lists(
    st.tuples(st.integers(-3, 12), st.integers(0, 9), st.integers(0, 3)), max_size=9
).map(
    lambda rows: [
        owed(pk, minor, day=day, due=day + wait)
        for pk, (minor, day, wait) in enumerate(rows, 1)
        if minor
    ]
)
bank_lines = st.lists(st.tuples(st.integers(1, 25), st.integers(0, 12)), max_size=8).map(
    lambda rows: [line(pk, minor, day=day) for pk, (minor, day) in enumerate(rows, 100)]
)


@given(settlements, bank_lines, st.randoms(use_true_random=False))
@settings(max_examples=400, deadline=None)
def test_sums_are_exact_nothing_is_used_twice_and_order_does_not_matter(
    owes: list[Owed], lines: list[Arrived], dice: random.Random
) -> None:
    pairs, rivals = find_pairs(owes, lines, window=WINDOW)
    by_owed = {one.pk: one for one in owes}
    by_line = {one.pk: one for one in lines}
    for pair in [*pairs, *rivals]:
        paid = sum(by_line[pk].minor for pk in pair.lines)
        assert paid == sum(by_owed[pk].minor for pk in pair.settlements)
        assert len(pair.lines) == 1 or len(pair.settlements) == 1
    used_lines = [pk for pair in pairs for pk in pair.lines]
    used_owed = [pk for pair in pairs for pk in pair.settlements]
    assert len(used_lines) == len(set(used_lines))
    assert len(used_owed) == len(set(used_owed))
    # What competes with another is in no pair that is taken.
    assert not set(used_lines) & {pk for pair in rivals for pk in pair.lines}
    assert not set(used_owed) & {pk for pair in rivals for pk in pair.settlements}
    dice.shuffle(owes)
    dice.shuffle(lines)
    assert find_pairs(owes, lines, window=WINDOW) == (pairs, rivals)
