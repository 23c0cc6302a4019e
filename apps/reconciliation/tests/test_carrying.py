"""Rows between days: expected, late, missing; carried in and out; and sums that come to zero over the days."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from apps.core import tasks
from apps.core.models import Due
from apps.core.tenancy import enter_scope
from apps.merchants.tests.factories import Shop, inside, make_shop
from apps.payments.models import Payment
from apps.payments.tests.factories import make_account
from apps.platforms.gateway import Platform
from apps.platforms.models import PlatformAccount
from apps.reconciliation.carrying import RULES, Phase, phase
from apps.reconciliation.models import (
    AccountRule,
    Difference,
    DifferenceType,
    Match,
    ReconciliationRun,
)
from apps.reconciliation.tests.checks import assert_whole, counts
from apps.reconciliation.tests.days import DAY, NOON, bill, match, paid, refunded
from apps.statements.models import FetchState, StatementDay
from apps.statements.tests.bills import Row, row_of, row_of_refund

NEXT = DAY + timedelta(days=1)
#: A minute before the day ends in China.
EVENING = NOON + timedelta(hours=11, minutes=59)
#: When the day's own bill is here, as a rule.
MORNING = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
ONE = timedelta(days=1)


def test_the_phases_of_waiting() -> None:
    rule = RULES[Platform.WECHATPAY]
    ends = datetime(2026, 11, 24, 16, 0, tzinfo=UTC)
    due = ends + timedelta(hours=12)

    def at(now: datetime, *, here: bool) -> Phase:
        return phase(rule, next_ends=ends, next_is_here=here, now=now)

    assert at(MORNING, here=False) == Phase(DifferenceType.EXPECTED, due)
    assert at(due, here=False) == Phase(DifferenceType.LATE, None)
    assert at(due + 30 * ONE, here=False) == Phase(DifferenceType.LATE, None)
    assert at(ends + timedelta(hours=10), here=True) == Phase(DifferenceType.LATE, due + ONE)
    assert at(due + ONE, here=True) == Phase(DifferenceType.MISSING_THERE, None)
    assert set(RULES) == set(Platform)


@pytest.fixture
def shop(db: None) -> Shop:
    return make_shop()


@pytest.fixture
def account(shop: Shop) -> PlatformAccount:
    with inside(shop):
        return make_account(shop)


def kinds(run: ReconciliationRun) -> list[tuple[str, str]]:
    return list(Difference.objects.filter(run=run).order_by("pk").values_list("type", "state"))


def test_expected_then_late_then_missing_by_itself(shop: Shop, account: PlatformAccount) -> None:
    """The due task looks again: when the next bill is here, and when the limit is over."""
    with inside(shop):
        paid(shop, account, at=EVENING)
        bill(account, [], now=MORNING)
        assert kinds(match(account, now=MORNING)) == [("expected", "explained")]
        first = Difference.objects.get()
        due = Due.objects.get(task="reconciliation.run")
        assert due.due_at == first.due_at
        assert first.first_seen_at == MORNING
        # Owner and age stay with it.
        Difference.objects.update(assigned_to=shop["finance"])
        bill(account, [], day=NEXT, now=MORNING + ONE)
    later = MORNING + ONE
    assert tasks.drain(now=later, task="reconciliation.run") == 2
    with inside(shop):
        run = ReconciliationRun.objects.get(day=DAY, is_current=True)
        assert kinds(run) == [("late", "open")]
        late = Difference.objects.get(run=run)
        assert (late.first_seen_at, late.assigned_to) == (MORNING, shop["finance"])
        assert late.due_at is not None
        assert_whole(run)
    assert tasks.drain(now=late.due_at - timedelta(minutes=1), task="reconciliation.run") == 0
    assert tasks.drain(now=late.due_at, task="reconciliation.run") == 1
    with inside(shop):
        run = ReconciliationRun.objects.get(day=DAY, is_current=True)
        assert kinds(run) == [("missing_there", "open")]
        assert not Due.objects.filter(task="reconciliation.run").exists()
        gone = Difference.objects.get(run=run)
        assert (gone.first_seen_at, gone.assigned_to) == (MORNING, shop["finance"])


def test_an_empty_next_day_ends_the_waiting_too(shop: Shop, account: PlatformAccount) -> None:
    with inside(shop):
        paid(shop, account, at=EVENING)
        bill(account, [], now=MORNING)
        StatementDay.objects.create(account=account, kind="trade", day=NEXT, state=FetchState.EMPTY)
        assert kinds(match(account, now=MORNING + ONE)) == [("late", "open")]


def test_a_new_version_that_lost_the_row_takes_the_carrying_back(
    shop: Shop, account: PlatformAccount
) -> None:
    now = MORNING + ONE
    with inside(shop):
        one = paid(shop, account, at=EVENING)
        bill(account, [], now=MORNING)
        bill(account, [row_of(one).but(at=EVENING + timedelta(minutes=2))], day=NEXT, now=now)
        assert kinds(match(account, now=now)) == [("carry_out", "explained")]
        assert kinds(match(account, day=NEXT, now=now)) == [("carry_in", "explained")]
        bill(account, [], day=NEXT, now=now)
    assert tasks.drain(now=now, task="reconciliation.run") == 2
    with inside(shop):
        run = ReconciliationRun.objects.get(day=DAY, is_current=True)
        assert kinds(run) == [("late", "open")]


def test_the_first_bill_that_has_it_counts(shop: Shop, account: PlatformAccount) -> None:
    """In the bills of the next day and of the day after, and not in its own."""
    now = MORNING + 2 * ONE
    third = NEXT + ONE
    with inside(shop):
        one = paid(shop, account, at=EVENING)
        bill(account, [row_of(one).but(at=EVENING + 2 * ONE)], day=third, now=now)
        assert kinds(match(account, day=third, now=now)) == [("carry_in", "explained")]
        bill(account, [row_of(one).but(at=EVENING + timedelta(minutes=2))], day=NEXT, now=now)
        bill(account, [], now=now)
    tasks.drain(now=now, task="reconciliation.run")
    with inside(shop):
        runs = ReconciliationRun.objects.filter(is_current=True).order_by("day")
        assert [kinds(run) for run in runs] == [
            [("carry_out", "explained")],
            [("carry_in", "explained")],
            [("duplicate", "open")],
        ]


@pytest.mark.parametrize("minutes", [0, 5])
def test_inferred_only_where_allowed(shop: Shop, account: PlatformAccount, minutes: int) -> None:
    with inside(shop):
        AccountRule.objects.create(account=account, fallback_minutes=minutes)
        one = paid(shop, account, 4321)
        row = row_of(one).but(order_no="EXT1", trade_no="991", at=NOON + timedelta(minutes=5))
        bill(account, [row])
        run = match(account)
        pairs = list(Match.objects.filter(run=run).values_list("rule", "is_inferred"))
        assert pairs == ([("amount_time", True)] if minutes else [])
        assert_whole(run)
        # One second too far away, or two that fit: nothing is taken.
        bill(account, [row.but(at=NOON + timedelta(minutes=5, seconds=1))])
        assert counts(match(account)) == {"missing_here": 1, "missing_there": 1}
        bill(account, [row, row.but(order_no="EXT2", trade_no="992")])
        run = match(account)
        assert counts(run) == {"missing_here": 2, "missing_there": 1}
        assert_whole(run)


def test_a_fee_in_parts_differs_once(shop: Shop, account: PlatformAccount) -> None:
    """Two rows of one payment whose fees together are a fen too many."""
    with inside(shop):
        one = paid(shop, account, 10_000)
        row = row_of(one)
        bill(account, [row.but(minor=4000, fee=30), row.but(minor=6000, fee=31)])
        run = match(account)
        assert counts(run) == {"fee": 1, "matched": 1}
        assert Difference.objects.get(run=run).net_gap_minor == -1
        assert_whole(run)


#: Of each payment: its day, its amount, whether half of it goes back, and the days whose bills have it.
THINGS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.integers(2, 90_000),
        st.booleans(),
        st.sets(st.integers(0, 2), max_size=2),
    ),
    max_size=6,
)


class ThreeDays(TestCase):
    """Each example runs in a transaction of its own."""

    @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
    @given(things=THINGS, order=st.permutations([0, 1, 2]))
    def test_what_is_carried_sums_to_zero(
        self, things: list[tuple[int, int, bool, set[int]]], order: list[int]
    ) -> None:
        shop = make_shop()
        now = MORNING + 5 * ONE
        with inside(shop):
            account = make_account(shop)
            bills: list[list[Row]] = [[], [], []]
            once: list[tuple[Payment, int | None]] = []
            for number, minor, gives_back, days in things:
                payment = paid(shop, account, minor, at=NOON + number * ONE)
                rows = [row_of(payment)]
                back = None
                if gives_back:
                    back = refunded(shop, payment, minor // 2, at=NOON + number * ONE)
                    rows.append(row_of_refund(back))
                for day in days:
                    bills[day] += [row.but(at=NOON + day * ONE) for row in rows]
                if len(days) == 1:
                    once.append((payment, back.pk if back else None))
        for day in order:
            with enter_scope(shop.scope):
                bill(account, bills[day], day=DAY + day * ONE, now=now)
            # Whatever asks to be matched again is, until nothing does.
            tasks.drain(now=now, task="reconciliation.run")
        with enter_scope(shop.scope):
            assert not Due.objects.filter(task="reconciliation.run", due_at__lte=now).exists()
            runs = list(ReconciliationRun.objects.filter(is_current=True))
            assert len(runs) == 3
            for run in runs:
                assert_whole(run)
                allowed = {"matched", "carry_in", "carry_out", "duplicate", "missing_there"}
                assert set(counts(run)) <= allowed
            found = Difference.objects.filter(run__in=runs)
            for payment, refund_id in once:
                mine = found.filter(payment=payment)
                assert sum(row.net_gap_minor for row in mine) == 0
                assert {row.type for row in mine} <= {"carry_in", "carry_out"}
                if refund_id is not None:
                    assert sum(row.net_gap_minor for row in found.filter(refund_id=refund_id)) == 0
            # Over all days: what the bills have twice and what they never have is all that is left.
            left = found.exclude(type__in=["carry_in", "carry_out"])
            nets = sum(run.their_net_minor - (run.their_fee_minor or 0) for run in runs)
            ours = sum(
                (run.sales_minor or 0) - (run.refunds_minor or 0) - (run.fees_minor or 0)
                for run in runs
            )
            assert nets - ours == sum(row.net_gap_minor for row in left)
