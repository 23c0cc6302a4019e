"""A platform's own day: UnionPay's begins at 23:00 of the day before."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.clock import CHINA, business_period
from apps.statements.selectors import bill_day_starts, bill_period

DAY = date(2026, 11, 23)
DAYS = st.dates(date(2020, 1, 1), date(2035, 1, 1))


@pytest.mark.parametrize("platform", ["wechatpay", "alipay", "shouqianba"])
def test_the_others_keep_the_calendar_day(platform: str) -> None:
    assert bill_period(platform, DAY) == business_period(DAY)


def test_unionpays_settlement_day() -> None:
    from_at, until = bill_period("unionpay", DAY)
    assert from_at == datetime(2026, 11, 22, 15, 0, tzinfo=UTC)
    assert until == datetime(2026, 11, 23, 15, 0, tzinfo=UTC)
    assert from_at.astimezone(CHINA).time() == time(23)


@given(DAYS, st.sampled_from(["wechatpay", "alipay", "unionpay", "shouqianba"]))
def test_days_follow_one_another_without_gap_or_overlap(day: date, platform: str) -> None:
    from_at, until = bill_period(platform, day)
    assert until == bill_period(platform, day + timedelta(days=1))[0]
    assert until - from_at == timedelta(days=1)


@given(DAYS, st.integers(0, 86_399))
def test_each_second_of_china_is_in_the_bill_of_its_settlement_day(day: date, second: int) -> None:
    moment = datetime.combine(day, time(0), tzinfo=CHINA) + timedelta(seconds=second)
    named = day + timedelta(days=1) if moment.hour == 23 else day
    from_at, until = bill_period("unionpay", named)
    assert from_at <= moment < until
    # The rule that the matching's SQL follows.
    assert (moment - bill_day_starts("unionpay")).date() == named
