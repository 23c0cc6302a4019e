"""The law behind the equation, without a database: whatever a row is, its parts are the bill's to the fen."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from apps.reconciliation.selectors.equation import parts, remainder

AMOUNT = st.integers(-(10**12), 10**12)
SIDE = st.none() | st.tuples(AMOUNT, AMOUNT)
ROW = st.tuples(st.none() | st.tuples(AMOUNT, st.none() | AMOUNT), SIDE)


@given(rows=st.lists(ROW, max_size=30))
def test_the_terms_are_the_bill(
    rows: list[tuple[tuple[int, int | None] | None, tuple[int, int] | None]],
) -> None:
    net = 0
    terms: list[int] = []
    for theirs, ours in rows:
        their, their_fee = theirs if theirs is not None else (None, None)
        our, our_fee = ours if ours is not None else (None, None)
        part = parts(their=their, their_fee=their_fee, our=our, our_fee=our_fee)
        net += (their or 0) - (their_fee or 0)
        terms += [part.ours, part.our_fees, part.untold_fees, part.gap]
    assert remainder(net, terms) == 0


@given(amount=AMOUNT, fee=AMOUNT)
def test_equal_sides_leave_no_gap(amount: int, fee: int) -> None:
    assert parts(their=amount, their_fee=fee, our=amount, our_fee=fee).gap == 0
    assert parts(their=amount, their_fee=None, our=amount, our_fee=fee).gap == 0


@given(amount=AMOUNT, fee=AMOUNT)
def test_a_carried_pair_sums_to_zero(amount: int, fee: int) -> None:
    here = parts(their=None, their_fee=None, our=amount, our_fee=fee).gap
    there = parts(their=amount, their_fee=fee, our=None, our_fee=None).gap
    assert here + there == 0
