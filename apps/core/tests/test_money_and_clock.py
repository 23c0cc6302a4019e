"""Amounts are exact whole fen; a business day is one function of an instant and the merchant's start of day."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.clock import business_date, business_period
from apps.core.money import CurrencyMismatch, InvalidAmount, Money

FEN = st.integers(-(10**14), 10**14)


@given(FEN)
def test_yuan_and_back_is_the_same_fen(minor: int) -> None:
    text = Money(minor).to_yuan()
    assert Money.from_yuan(text) == Money(minor)
    assert Decimal(text) * 100 == minor


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "1.001",
        "1e3",
        "1,000",
        "¥5",
        "NaN",
        "inf",
        "--1",
        "１２",
        "0x10",
        "1.2.3",
        "1" * 14,
    ],
)
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(InvalidAmount):
        Money.from_yuan(text)


@pytest.mark.parametrize("value", [1.5, True, None, 3])
def test_floats_and_other_types_are_refused(value: object) -> None:
    with pytest.raises(InvalidAmount):
        Money.from_yuan(value)  # type: ignore[arg-type]


@pytest.mark.parametrize("minor", [1.0, True, "5"])
def test_minor_is_an_integer_and_nothing_else(minor: object) -> None:
    with pytest.raises(InvalidAmount):
        Money(minor)  # type: ignore[arg-type]


def test_trailing_zeros_are_fine_and_finer_than_a_fen_is_not() -> None:
    assert Money.from_yuan("12.5") == Money.from_yuan("12.500") == Money(1250)
    with pytest.raises(InvalidAmount, match="finer"):
        Money.from_yuan("12.505")


def test_currencies_do_not_mix() -> None:
    with pytest.raises(CurrencyMismatch):
        Money(1) + Money(1, "USD")
    with pytest.raises(CurrencyMismatch):
        assert Money(1) < Money(2, "USD")


@given(FEN, st.lists(st.integers(0, 1000), min_size=1, max_size=12).filter(any))
def test_allocation_loses_no_fen(minor: int, weights: list[int]) -> None:
    parts = Money(minor).allocate(weights)
    assert sum(part.minor for part in parts) == minor
    assert all(part.minor == 0 for part, weight in zip(parts, weights, strict=True) if weight == 0)


@given(st.integers(0, 10**12), st.integers(0, 1_000_000))
def test_a_share_is_rounded_half_up(minor: int, ppm: int) -> None:
    exact = Decimal(minor) * ppm / 1_000_000
    assert Money(minor).share(rate_ppm=ppm).minor == int(exact.quantize(Decimal(1), ROUND_HALF_UP))


@given(
    st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),
    st.times().map(lambda t: t.replace(second=0, microsecond=0)),
)
def test_every_instant_lies_in_its_own_business_period(at: datetime, start: time) -> None:
    begin, end = business_period(business_date(at, start), start)
    assert begin <= at < end
    assert end - begin == timedelta(days=1)


def test_a_bar_that_closes_at_two() -> None:
    half_past_one = datetime(2026, 11, 23, 17, 30, tzinfo=UTC)
    assert business_date(half_past_one) == date(2026, 11, 24)
    assert business_date(half_past_one, time(2)) == date(2026, 11, 23)


def test_a_naive_time_is_refused() -> None:
    with pytest.raises(ValueError, match="aware"):
        business_date(datetime(2026, 11, 24, 1))
