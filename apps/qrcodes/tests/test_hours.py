"""Opening hours: read, written, asked, against a slow reading minute by minute."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.core.clock import CHINA
from apps.qrcodes.hours import (
    DAY,
    Hours,
    HoursRefused,
    is_open,
    next_opening,
    read_day,
    week_of,
    written,
)

MONDAY = datetime(2026, 11, 23, tzinfo=CHINA)


@st.composite
def a_day(draw: st.DrawFn) -> tuple[tuple[int, int], ...]:
    """Up to three spans of a day that do not overlap; two may touch."""
    ends = sorted(draw(st.lists(st.integers(0, DAY), min_size=0, max_size=6, unique=True)))
    return tuple((ends[at], ends[at + 1]) for at in range(0, len(ends) - 1, 2))


WEEKS = st.lists(a_day(), min_size=7, max_size=7).map(lambda days: tuple(days) if any(days) else ())


def open_minutes(hours: Hours) -> set[int]:
    """Every open minute of a week, counted one by one."""
    return {
        day * DAY + minute
        for day, spans in enumerate(hours)
        for minute in range(DAY)
        if any(opens <= minute < closes for opens, closes in spans)
    }


@given(hours=WEEKS, minute=st.integers(0, 7 * DAY - 1))
@settings(max_examples=200, deadline=None)
def test_open_and_next_opening_are_those_of_the_slow_reading(hours: Hours, minute: int) -> None:
    at = (MONDAY + timedelta(minutes=minute, seconds=30)).astimezone(UTC)
    opened = open_minutes(hours)
    assert is_open(hours, at) == (not hours or minute in opened)
    if is_open(hours, at):
        assert next_opening(hours, at) is None
        return
    after = next(ahead for ahead in range(1, 7 * DAY + 1) if (minute + ahead) % (7 * DAY) in opened)
    assert next_opening(hours, at) == MONDAY + timedelta(minutes=minute + after)


@given(hours=WEEKS)
@settings(max_examples=300, deadline=None)
def test_what_is_written_reads_as_the_same_minutes(hours: Hours) -> None:
    again = week_of([read_day(text) for text in written(hours)])
    assert open_minutes(again) == open_minutes(hours)


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("", ()),
        ("09:00-21:00", ((540, 1260),)),
        (" 9:00 – 14:00 ， 17:00～21:30", ((540, 840), (1020, 1290))),
        ("17:00-21:00, 11:00-14:00", ((660, 840), (1020, 1260))),
        ("18:00-02:00", ((1080, 1560),)),
        ("00:00-24:00", ((0, 1440),)),
        ("０９：００至１２：００", ((540, 720),)),
    ],
)
def test_hours_as_people_type_them(text: str, spans: tuple[tuple[int, int], ...]) -> None:
    assert read_day(text) == spans


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("nine to five", "shape"),
        ("09:00", "shape"),
        ("09:00-10:00-11:00", "shape"),
        ("9-17", "shape"),
        ("25:00-26:00", "clock"),
        ("09:60-10:00", "clock"),
        ("09:00-09:00", "empty"),
        ("24:00-02:00", "empty"),
        ("09:00-12:00, 11:00-13:00", "overlap"),
        ("18:00-02:00, 01:00-03:00", None),
        ("1:00-2:00,3:00-4:00,5:00-6:00,7:00-8:00,9:00-10:00", "too_many"),
    ],
)
def test_what_gives_no_hours_says_why(text: str, reason: str | None) -> None:
    if reason is None:
        # The night belongs to the next day, which it does not meet here.
        assert len(read_day(text)) == 2
        return
    with pytest.raises(HoursRefused) as refused:
        read_day(text)
    assert refused.value.reason == reason


def test_a_night_goes_on_the_next_day_and_must_not_meet_its_hours() -> None:
    night, early = read_day("18:00-02:00"), read_day("01:00-03:00")
    week = week_of([night, *[()] * 6])
    assert (week[0], week[1]) == (((1080, 1440),), ((0, 120),))
    assert week_of([*[()] * 6, night])[0] == ((0, 120),)
    assert written(week)[:2] == ["18:00-02:00", ""]
    with pytest.raises(HoursRefused) as refused:
        week_of([night, early, *[()] * 5])
    assert refused.value.reason == "overlap"
