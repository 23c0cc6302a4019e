"""Fees by the terms in force: the sum here and in SQL are one, and both are a slow and obvious third one's."""

from __future__ import annotations

import math
from datetime import date, timedelta
from fractions import Fraction

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.platforms.fees import PPM, FeeBook, FeeRule, fee_back, fee_sql, given_back_sql, rate_sql

DAY = date(2026, 11, 1)
ROW = {"amount": "a.minor", "day": "%(day)s::date", "wallet": "%(w)s", "product": "%(p)s"}
STATEMENT = f"""
SELECT a.minor, {fee_sql(**ROW)}, {rate_sql(**ROW)}, {given_back_sql(**ROW)}
FROM unnest(%(amounts)s::bigint[]) WITH ORDINALITY AS a (minor, place) ORDER BY place
"""  # noqa: S608  # our own names
WALLETS = ["", "wechatpay", "alipay"]
PRODUCTS = ["", "barcode", "in_app"]
AMOUNTS = st.one_of(st.integers(1, 400_000), st.integers(1, 10_000_000_000))
RULES = st.builds(
    FeeRule,
    rate_ppm=st.one_of(st.sampled_from([0, 2_500, 3_800, 6_000, PPM]), st.integers(0, PPM)),
    from_minor=st.sampled_from([0, 1, 100, 100_001]),
    wallet=st.sampled_from(WALLETS),
    product=st.sampled_from(PRODUCTS),
    cap_minor=st.none() | st.integers(1, 5_000),
    least_minor=st.sampled_from([0, 0, 1]),
    rounding=st.sampled_from(["half_up", "down", "up", "half_even"]),
    from_day=st.sampled_from([date.min, DAY, DAY + timedelta(days=1)]),
    until_day=st.sampled_from([date.max, DAY + timedelta(days=1), DAY + timedelta(days=9)]),
    back_ppm=st.sampled_from([0, 333_333, 500_000, PPM]),
)


def oracle_rule(
    rules: list[FeeRule], own: int, *, amount: int, day: date, wallet: str, product: str
) -> FeeRule:
    """The best rule that fits, by looking at all of them: wallet and product, wallet, product, any; then the highest step."""
    fitting = [
        rule
        for rule in rules
        if rule.from_day <= day < rule.until_day
        and rule.wallet in ("", wallet)
        and rule.product in ("", product)
        and rule.from_minor <= amount
    ]
    for names_wallet, names_product in [(True, True), (True, False), (False, True), (False, False)]:
        kind = [
            rule
            for rule in fitting
            if bool(rule.wallet) is names_wallet and bool(rule.product) is names_product
        ]
        if kind:
            top = max(rule.from_minor for rule in kind)
            return next(rule for rule in kind if rule.from_minor == top)
    return FeeRule(rate_ppm=own, is_agreed=False)


def oracle_fee(rule: FeeRule, amount: int) -> int:
    """The fee in exact fractions."""
    exact = Fraction(amount) * Fraction(rule.rate_ppm, 1_000_000)
    fee = {
        "down": math.floor(exact),
        "up": math.ceil(exact),
        "half_up": math.floor(exact + Fraction(1, 2)),
        "half_even": round(exact),
    }[rule.rounding]
    if rule.cap_minor is not None and fee > rule.cap_minor:
        fee = rule.cap_minor
    if fee < rule.least_minor:
        fee = rule.least_minor
    return min(fee, amount)


@pytest.mark.django_db
@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rules=st.lists(
        RULES, max_size=6, unique_by=lambda rule: (rule.wallet, rule.product, rule.from_minor)
    ),
    own=st.sampled_from([0, 3_800, 6_000]),
    amounts=st.lists(AMOUNTS, min_size=1, max_size=6),
    wallet=st.sampled_from(["wechatpay", "alipay", "unionpay"]),
    product=st.sampled_from(["barcode", "in_app", "browser"]),
    day=st.sampled_from([DAY, DAY + timedelta(days=1), DAY + timedelta(days=8)]),
)
def test_the_book_its_sql_and_exact_fractions_agree(
    rules: list[FeeRule], own: int, amounts: list[int], wallet: str, product: str, day: date
) -> None:
    book = FeeBook(rules, own_rate_ppm=own)
    with connection.cursor() as cursor:
        cursor.execute(
            STATEMENT,
            {**book.values(), "amounts": amounts, "day": day, "w": wallet, "p": product},
        )
        told = cursor.fetchall()
    expected = []
    for amount in amounts:
        rule = oracle_rule(rules, own, amount=amount, day=day, wallet=wallet, product=product)
        fee = oracle_fee(rule, amount)
        back = math.floor(Fraction(fee * rule.back_ppm, PPM) + Fraction(1, 2))
        expected.append((amount, fee, rule.rate_ppm, back))
        assert book.fee(amount_minor=amount, day=day, wallet=wallet, product=product) == fee
        assert 0 <= fee <= amount
    assert told == expected


@given(
    amount=st.integers(1, 10_000_000),
    fee=st.integers(0, 10_000_000),
    back=st.integers(0, PPM),
    cuts=st.lists(st.integers(1, 10_000_000), max_size=5),
)
@settings(deadline=None)
def test_the_parts_of_a_fee_add_up(amount: int, fee: int, back: int, cuts: list[int]) -> None:
    fee = min(fee, amount)
    steps = [*sorted(cut for cut in cuts if cut < amount), amount]
    came = [
        fee_back(fee_minor=fee, back_ppm=back, amount_minor=amount, refunded_minor=step)
        for step in steps
    ]
    assert came == sorted(came)
    assert all(
        value == math.floor(Fraction(fee * back * step, PPM * amount) + Fraction(1, 2))
        for value, step in zip(came, steps, strict=True)
    )
    if back == PPM:
        assert came[-1] == fee


def test_known_fees() -> None:
    tiers = [
        FeeRule(rate_ppm=3_800),
        FeeRule(rate_ppm=6_000, from_minor=100_001, cap_minor=8_000),
        FeeRule(rate_ppm=2_500, wallet="alipay", rounding="down"),
    ]
    book = FeeBook(tiers, own_rate_ppm=10_000)
    assert book.fee(amount_minor=100_000, day=DAY) == 380
    assert book.fee(amount_minor=100_001, day=DAY) == 600
    assert book.fee(amount_minor=9_000_000, day=DAY) == 8_000
    assert book.fee(amount_minor=1_999, day=DAY, wallet="alipay") == 4
    # Half a fen of 125 fen at 0.4 %.
    for rounding, fee in [("half_up", 1), ("down", 0), ("up", 1), ("half_even", 0)]:
        assert FeeRule(rate_ppm=4_000, rounding=rounding).fee(125) == fee
