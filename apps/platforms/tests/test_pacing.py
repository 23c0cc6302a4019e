"""An account's pace: its slots keep the rate, and its breaker lets a platform recover, whatever comes in what order."""

from __future__ import annotations

import itertools
import threading
from datetime import timedelta

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.core.tenancy import enter_scope
from apps.merchants.models import Merchant
from apps.merchants.tests.factories import NOW, inside, make_shop
from apps.payments.tests.factories import make_account
from apps.platforms.models import AccountPace
from apps.platforms.services import pacing
from apps.platforms.services.pacing import (
    BREAKER,
    HORIZON,
    OPEN_FIRST,
    OPEN_LONGEST,
    PROBE_LEASE,
    RATE_LIMIT,
    THRESHOLD,
    Limits,
    Pace,
    Tally,
    admit,
    judge,
)

LIMITS = Limits(interval=timedelta(milliseconds=100), failing=timedelta(milliseconds=500))
SECOND = timedelta(seconds=1)
asks = st.lists(st.tuples(st.integers(0, 8000), st.integers(0, 200)), max_size=25)


@given(asks=asks)
def test_no_two_calls_come_closer_than_the_rate_allows(asks: list[tuple[int, int]]) -> None:
    pace, now = Pace(), NOW
    slots = []
    for later, wanted in asks:
        now += timedelta(milliseconds=later)
        pace, admission = admit(pace, wanted=wanted, limits=LIMITS, now=now)
        mine = [admission.slot(number) for number in range(admission.calls)]
        slots += mine
        assert admission.calls <= wanted
        assert all(now <= slot <= now + HORIZON for slot in mine)
        # Those who must come again are told why, when, and each another moment.
        assert admission.reason == (RATE_LIMIT if admission.calls < wanted else "")
        later_ones = [admission.put_off(number) for number in range(admission.calls, wanted)]
        assert all(b - a == LIMITS.interval for a, b in itertools.pairwise(later_ones))
        assert not mine or not later_ones or later_ones[0] - mine[-1] == LIMITS.interval
    assert all(b - a >= LIMITS.interval for a, b in itertools.pairwise(slots))


@given(
    told=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 3), st.integers(0, 9)), max_size=40)
)
def test_an_open_breaker_lets_one_call_through_at_a_time_and_closes_by_a_good_answer(
    told: list[tuple[int, int, int]],
) -> None:
    pace, now = Pace(), NOW
    last_probe = None
    for later, good, failing in told:
        now += timedelta(seconds=later)
        before = pace
        pace, admission = admit(pace, wanted=20, limits=LIMITS, now=now)
        if before.open_until is not None:
            assert admission.reason == BREAKER
            assert admission.calls <= 1
            assert now < before.open_until or admission.again_at > now
            if admission.calls:
                assert now >= before.open_until
                free = before.probing_until is None or before.probing_until <= now
                assert free
                last_probe = now
                again, second = admit(pace, wanted=20, limits=LIMITS, now=now)
                assert (again, second.calls) == (pace, 0)
        if not admission.calls:
            continue
        after = judge(pace, Tally(good=good, failing=failing, code="x"), now=now, key="1")
        if good and not failing:
            assert (after.failures, after.openings, after.open_until) == (0, 0, None)
        if after.open_until is not None and after.open_until != pace.open_until:
            assert after.failures >= THRESHOLD or last_probe == now
            wait = after.open_until - now
            assert OPEN_FIRST * 0.9 <= wait <= OPEN_LONGEST * 1.1
            assert after.probing_until is None
        pace = after


def test_each_opening_lasts_twice_as_long_up_to_the_longest() -> None:
    pace, now = Pace(), NOW
    waits = []
    for _opening in range(8):
        pace = judge(pace, Tally(failing=THRESHOLD, code="timeout"), now=now, key="1")
        assert pace.open_until is not None
        waits.append((pace.open_until - now) / SECOND)
        now = pace.open_until
        pace, admission = admit(pace, wanted=5, limits=LIMITS, now=now)
        assert admission.calls == 1
    expected = [min(15 * 2**number, 300) for number in range(8)]
    assert waits == [pytest.approx(wait, rel=0.1) for wait in expected]
    assert len(set(waits)) == len(waits)


def test_a_probe_that_was_lost_is_tried_again_by_another() -> None:
    opened = judge(Pace(), Tally(failing=THRESHOLD), now=NOW, key="1")
    assert opened.open_until is not None
    pace, first = admit(opened, wanted=1, limits=LIMITS, now=opened.open_until)
    _, second = admit(pace, wanted=1, limits=LIMITS, now=opened.open_until + SECOND)
    _, third = admit(pace, wanted=1, limits=LIMITS, now=opened.open_until + PROBE_LEASE)
    assert (first.calls, second.calls, third.calls) == (1, 0, 1)


def test_a_failing_account_is_asked_more_slowly() -> None:
    pace = judge(Pace(), Tally(good=1, failing=2), now=NOW, key="1")
    _, admission = admit(pace, wanted=100, limits=LIMITS, now=NOW)
    assert admission.interval == LIMITS.failing
    assert admission.calls == HORIZON / LIMITS.failing + 1


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(good=st.integers(0, 3), failing=st.integers(0, 8))
def test_what_is_stored_is_what_the_rules_say(db: None, good: int, failing: int) -> None:
    shop = make_shop(f"s-{good}-{failing}-{Merchant.objects.count()}")
    with inside(shop):
        account = make_account(shop)
        pacing.take({account: 3}, now=NOW)
        before = pacing.pace_of(AccountPace.objects.get())
        tally = Tally(good=good, failing=failing, code="timeout")
        pacing.report({account.pk: tally}, now=NOW)
        stored = pacing.pace_of(AccountPace.objects.get())
        assert stored == judge(before, tally, now=NOW, key=str(account.pk))
        AccountPace.objects.all().delete()


def test_trying_now_opens_the_door_for_one(db: None) -> None:
    shop = make_shop()
    with inside(shop):
        account = make_account(shop)
        pacing.report({account.pk: Tally(failing=THRESHOLD, code="timeout")}, now=NOW)
        assert pacing.take_one(account, now=NOW).reason == BREAKER
        pacing.half_open(account_id=account.pk, now=NOW)
        assert [pacing.take_one(account, now=NOW).calls for _ in range(2)] == [1, 0]


@pytest.mark.django_db(transaction=True)
def test_two_workers_share_the_slots() -> None:
    shop = make_shop()
    with inside(shop):
        account = make_account(shop, platform="unionpay")
    together = threading.Barrier(2)
    slots: list[object] = []

    def work() -> None:
        with enter_scope(shop.scope):
            together.wait(5)
            admission = pacing.take({account: 20}, now=NOW)[account.pk]
        slots.extend(admission.slot(number) for number in range(admission.calls))
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(slots) == len(set(slots)) == 40
