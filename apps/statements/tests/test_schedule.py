"""When bills are asked for: often on the first day, a few times a day afterwards, and at last no more."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta

from hypothesis import given
from hypothesis import strategies as st

from apps.core.clock import CHINA
from apps.platforms.gateway import Platform
from apps.statements.services.schedule import GIVE_UP, next_try, ready_at

DAY = date(2026, 11, 23)
FIRST = DAY + timedelta(days=1)
PLATFORMS = st.sampled_from(list(Platform))


def at(day: date, hour: int, minute: int = 0) -> datetime:
    return datetime.combine(day, time(hour, minute), tzinfo=CHINA)


def test_the_hours_of_the_platforms() -> None:
    assert ready_at("wechatpay", day=DAY) == at(FIRST, 10, 5)
    assert ready_at("alipay", day=DAY) == at(FIRST, 10, 5)
    assert ready_at("unionpay", day=DAY) == at(FIRST, 9, 10)
    assert ready_at("shouqianba", day=DAY) == at(FIRST, 0, 40)


def test_the_looks_of_one_bill() -> None:
    """Every one of them, for a bill that never comes."""
    now: datetime | None = ready_at("wechatpay", day=DAY)
    looks = []
    while now is not None:
        looks.append(now.astimezone(CHINA))
        now = next_try("wechatpay", day=DAY, now=now)
    first = [f"{look:%H:%M}" for look in looks if look.date() == FIRST]
    assert first == [
        "10:05", "10:35", "11:05", "11:35", "12:05", "13:05", "14:05", "15:05", "16:05", "17:05", "18:05", "19:05",
        "20:05",
    ]  # fmt: skip
    later = [look for look in looks if look.date() != FIRST]
    assert len(later) == 6 * 3
    assert [f"{look:%d %H:%M}" for look in later[:4]] == [
        "25 10:05",
        "25 14:00",
        "25 18:00",
        "26 10:05",
    ]
    assert later[-1] == at(DAY + GIVE_UP, 18)


@given(PLATFORMS, st.integers(-48 * 60, 12 * 24 * 60))
def test_the_next_look_is_later_but_never_long_in_coming(platform: Platform, minutes: int) -> None:
    now = at(FIRST, 0) + timedelta(minutes=minutes)
    ready = ready_at(platform, day=DAY)
    look = next_try(platform, day=DAY, now=now)
    local = now.astimezone(CHINA)
    if look is None:
        assert local >= at(DAY + GIVE_UP, 18)
        return
    assert look > now
    assert look >= ready
    assert look.astimezone(CHINA).date() - DAY <= GIVE_UP
    if now < ready:
        assert look == ready
    elif local.date() == FIRST and local.hour < 12:
        assert look - now == timedelta(minutes=30)
    elif local.date() == FIRST and local.hour < 20:
        assert look - now == timedelta(hours=1)
    else:
        assert look - now < timedelta(hours=24)
        assert 10 <= look.astimezone(CHINA).hour <= 18


@given(PLATFORMS, st.integers(0, 9 * 24 * 60), st.integers(0, 120))
def test_a_later_try_never_brings_an_earlier_look(
    platform: Platform, minutes: int, later: int
) -> None:
    now = at(FIRST, 0) + timedelta(minutes=minutes)
    one = next_try(platform, day=DAY, now=now)
    two = next_try(platform, day=DAY, now=now + timedelta(minutes=later))
    if two is not None:
        assert one is not None
        # Only where looks become rarer may a later try have to wait less long; never is it sooner.
        assert one <= two


@given(PLATFORMS)
def test_no_platform_is_asked_more_than_a_few_dozen_times(platform: Platform) -> None:
    now: datetime | None = ready_at(platform, day=DAY)
    count = 0
    while now is not None:
        count += 1
        now = next_try(platform, day=DAY, now=now)
    assert 20 < count <= 60
