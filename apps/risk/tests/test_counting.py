"""What the one statement counts is what going through the facts one by one counts."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase
from pytest_django import DjangoAssertNumQueries

from apps.core.clock import CHINA
from apps.merchants.models import Merchant
from apps.merchants.tests.factories import NOW
from apps.risk.counting import Finding, find
from apps.risk.facts import WrongColumns
from apps.risk.rules import Outcome, Rule, RuleKind, Rules, read_rules
from apps.risk.tests.oracle import Fact, Row, expected, facts_of, only

FROM = datetime(2026, 11, 1, tzinfo=CHINA)


def rows(findings: list[Finding]) -> set[Row]:
    return {
        (
            one.rule.value,
            one.subject,
            one.day,
            one.count,
            one.minor,
            one.base_minor,
            one.first_at,
            one.last_at,
            one.store_id,
            tuple((fact["order"], fact["minor"]) for fact in one.shown),
        )
        for one in findings
    }


#: Few subjects, few days and round numbers, so that limits are met exactly.
_facts = st.lists(
    st.builds(
        Fact,
        kind=st.sampled_from(["paid", "paid", "paid", "failed", "refund"]),
        at=st.builds(
            lambda day, minute, second: (
                FROM + timedelta(days=day, minutes=10 * minute, seconds=second)
            ),
            st.integers(0, 3),
            st.integers(0, 143),
            st.sampled_from([0, 0, 1]),
        ),
        amount_minor=st.sampled_from([1, 89, 90, 99, 100, 101, 1000, 5000]),
        order_id=st.integers(1, 10_000),
        store_id=st.sampled_from([1, 1, 2, None]),
        code_id=st.sampled_from([1, 1, 2, None]),
        payer=st.sampled_from(["", "a", "a", "b"]),
        member_id=st.sampled_from([None, 7, 8]),
    ),
    max_size=45,
)


def book_of(draw: st.DrawFn) -> dict[RuleKind, Rule]:
    small = {
        "count": st.integers(1, 6),
        "minutes": st.sampled_from([1, 10, 60, 600]),
        "hours": st.sampled_from([1, 24, 48]),
        "days": st.integers(1, 3),
        "minor": st.sampled_from([1, 100, 101, 1000]),
        "percent": st.sampled_from([1, 10, 50]),
        "times": st.integers(2, 5),
        "begins": st.sampled_from([22, 1, 0]),
        "ends": st.sampled_from([5, 23, 8]),
    }
    book = {}
    for kind, rule in read_rules({}).items():
        values = {name: draw(small[name]) for name in rule.values}
        book[kind] = Rule(kind, draw(st.booleans()), Outcome.FLAG, values)
    return book


class TestAgainstTheOracle(TestCase):
    @given(
        facts=_facts,
        book=st.composite(book_of)(),
        starts=st.sampled_from([time(0), time(2), time(4, 30)]),
        since=st.integers(0, 2),
    )
    @settings(max_examples=150)
    def test_the_statement_finds_what_a_slow_count_finds(
        self, facts: list[Fact], book: Rules, starts: time, since: int
    ) -> None:
        merchant = Merchant.objects.create(slug="m", name="m")
        day = FROM.date() + timedelta(days=since)
        found = find(facts_of(merchant, facts), book, since=day, day_starts_at=starts)
        assert rows(found) == expected(facts, book, since=day, starts=starts)
        assert len(found) == len(rows(found))

    @given(
        amounts=st.lists(st.sampled_from([100, 200, 5000, 9000]), min_size=18, max_size=40),
        minor=st.sampled_from([100, 5000]),
        times=st.integers(2, 30),
    )
    @settings(max_examples=40)
    def test_unusual_amounts_among_many(self, amounts: list[int], minor: int, times: int) -> None:
        merchant = Merchant.objects.create(slug="m", name="m")
        facts = [
            Fact("paid", FROM + timedelta(hours=5 * number), amount, number)
            for number, amount in enumerate(amounts)
        ]
        book = only(RuleKind.ODD_AMOUNT, minor=minor, times=times)
        found = find(facts_of(merchant, facts), book, since=FROM.date())
        assert rows(found) == expected(facts, book, since=FROM.date(), starts=time(0))

    @given(
        stores=st.lists(st.sampled_from([1, 1, 1, 2, 3]), min_size=2, max_size=30),
        days=st.integers(1, 6),
        count=st.integers(1, 8),
    )
    @settings(max_examples=40)
    def test_codes_that_move(self, stores: list[int], days: int, count: int) -> None:
        merchant = Merchant.objects.create(slug="m", name="m")
        facts = [
            Fact("paid", FROM + timedelta(hours=7 * number), 100, number, store_id=store)
            for number, store in enumerate(stores)
        ]
        book = only(RuleKind.NEW_PLACE, days=days, count=count)
        found = find(facts_of(merchant, facts), book, since=FROM.date())
        assert rows(found) == expected(facts, book, since=FROM.date(), starts=time(0))


@pytest.fixture
def merchant(db: None) -> Merchant:
    return Merchant.objects.create(slug="m", name="m")


def paid(minutes: int, *, minor: int = 100, payer: str = "a") -> Fact:
    return Fact("paid", NOW + timedelta(minutes=minutes), minor, minutes + 1, payer=payer)


def test_the_end_of_the_window_counts_and_a_minute_later_not(merchant: Merchant) -> None:
    book = only(RuleKind.CODE_VELOCITY, count=3, minutes=10)
    day = NOW.date()
    inside = [paid(0), paid(5), paid(10)]
    (found,) = find(facts_of(merchant, inside), book, since=day)
    assert (found.count, found.minor, found.subject) == (3, 300, "1")
    assert [fact["order"] for fact in found.shown] == [11, 6, 1]
    assert find(facts_of(merchant, [paid(0), paid(5), paid(11)]), book, since=day) == []


def test_the_threshold_itself_is_not_just_below_it(merchant: Merchant) -> None:
    book = only(RuleKind.STRUCTURING, minor=50_000, percent=10, count=3, hours=24)
    below = [paid(n, minor=minor) for n, minor in enumerate((45_000, 49_999, 47_000))]
    assert len(find(facts_of(merchant, below), book, since=NOW.date())) == 1
    for other in (44_999, 50_000):
        facts = [*below[:2], paid(2, minor=other)]
        assert find(facts_of(merchant, facts), book, since=NOW.date()) == []


def test_all_rules_together_are_one_statement(
    merchant: Merchant, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    book = {kind: Rule(kind, True, r.outcome, r.values) for kind, r in read_rules({}).items()}
    with django_assert_num_queries(1):
        find(facts_of(merchant, [paid(0)]), book, since=NOW.date())
    with django_assert_num_queries(0):
        off = {kind: Rule(kind, False, r.outcome, r.values) for kind, r in book.items()}
        assert find(facts_of(merchant, []), off, since=date(2026, 1, 1)) == []


def test_other_columns_are_refused(merchant: Merchant) -> None:
    with pytest.raises(WrongColumns):
        find(Merchant.objects.values_list("name"), read_rules({}), since=NOW.date())
