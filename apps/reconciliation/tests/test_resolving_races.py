"""Two people settle the same difference at the same moment, with the lock and with the lock taken off."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from django.db import IntegrityError, OperationalError, connection

from apps.approvals.services import Stale
from apps.approvals.subjects import NotNow
from apps.core.money import Money
from apps.core.tenancy import enter_scope
from apps.ledger.models import Adjustment, JournalEntry
from apps.ledger.services import adjusting, set_limit
from apps.merchants.tests.factories import NOW, Shop, make_shop
from apps.payments.models import Payment
from apps.payments.tests.factories import make_account
from apps.platforms.models import PlatformAccount
from apps.reconciliation.models import Difference, Resolution, ResolutionState
from apps.reconciliation.services import CannotResolve, undo_resolution
from apps.reconciliation.services.resolving import acts, undoing
from apps.reconciliation.tests.acts import decided, do, may_adjust
from apps.reconciliation.tests.checks import assert_whole
from apps.reconciliation.tests.days import ACTOR, bill, match
from apps.reconciliation.tests.test_matching import STRANGER

THREADS = 6


def together(work: Callable[[int], None]) -> list[str]:
    """Run ``work`` in all threads at once; what each raised, ``""`` for none."""
    start = threading.Barrier(THREADS)
    outcomes: list[str] = []

    def run(number: int) -> None:
        try:
            start.wait(10)
            work(number)
            outcomes.append("")
        except CannotResolve as error:
            outcomes.append(error.reason)
        except IntegrityError:
            outcomes.append("IntegrityError")
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return outcomes


@pytest.fixture
def town(transactional_db: None) -> tuple[Shop, PlatformAccount, int]:
    shop = make_shop()
    with enter_scope(shop.scope):
        account = make_account(shop)
        may_adjust()
        bill(account, [STRANGER])
        match(account)
        return shop, account, Difference.objects.get().pk


KINDS = ("accept", "adjust", "keep")


def test_with_the_lock_one_wins_and_the_others_read_a_sentence(
    town: tuple[Shop, PlatformAccount, int],
) -> None:
    shop, account, pk = town

    def settle(number: int) -> None:
        with enter_scope(shop.scope):
            do(shop, Difference.objects.get(pk=pk), KINDS[number % 3])

    assert sorted(together(settle)) == ["", *["settled"] * (THREADS - 1)]
    with enter_scope(shop.scope):
        assert Resolution.objects.count() == 1
        assert Payment.objects.count() + Adjustment.objects.count() <= 1
        assert_whole(match(account))


def test_without_the_lock_the_race_is_real(
    town: tuple[Shop, PlatformAccount, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each believes that it is open; only the table's key still holds, and gives nobody a sentence."""
    shop, account, pk = town
    looked = threading.Barrier(THREADS)

    def unlocked(difference_id: int, *, alone: bool = False) -> Difference:
        found: Difference = Difference.objects.select_related("run__account", "line").get(
            pk=difference_id
        )
        looked.wait(10)
        return found

    monkeypatch.setattr(acts, "_locked", unlocked)

    def settle(number: int) -> None:
        with enter_scope(shop.scope):
            do(shop, Difference.objects.get(pk=pk), "keep")

    assert sorted(together(settle)) == ["", *["IntegrityError"] * (THREADS - 1)]
    with enter_scope(shop.scope):
        assert Resolution.objects.count() == 1
        assert_whole(match(account))


def test_matching_and_settling_at_once_lose_nothing(
    town: tuple[Shop, PlatformAccount, int],
) -> None:
    """A matching either sees what was settled, or the person is told that the day was matched again."""
    shop, account, pk = town

    def work(number: int) -> None:
        with enter_scope(shop.scope):
            if number == 0:
                do(shop, Difference.objects.get(pk=pk), "adjust")
            else:
                match(account)

    outcomes = together(work)
    assert set(outcomes) <= {"", "old_run"}
    with enter_scope(shop.scope):
        row = Difference.objects.get(run__is_current=True)
        settled = Resolution.objects.count()
        assert row.state == ("resolved" if settled else "open")
        assert row.adjusted_minor == (696 if settled else 0)
        assert_whole(row.run)


# ---------------------------------------------------------------- withdrawing and confirming at once
def meet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have who withdraws and who confirms wait for each other (a moment), each with its first locks in hand."""
    met = threading.Barrier(2)

    def wait() -> None:
        with suppress(threading.BrokenBarrierError):
            met.wait(3)

    why, post = undoing.why_not_undone, adjusting._post

    def why_not_undone(resolution: Resolution) -> str:
        wait()
        return why(resolution)

    def posts(adjustment: Adjustment, **given: Any) -> None:
        wait()
        post(adjustment, **given)

    monkeypatch.setattr(undoing, "why_not_undone", why_not_undone)
    monkeypatch.setattr(adjusting, "_post", posts)


def withdraw_and_confirm(shop: Shop, pk: int) -> tuple[Resolution, set[str]]:
    """Both at once: what became of the correction, and what each was told."""
    with enter_scope(shop.scope):
        set_limit(limit=Money(0), member=None, actor=ACTOR, now=NOW)
        made = do(shop, Difference.objects.get(pk=pk), "adjust")
        assert made.state == ResolutionState.WAITING
    told: set[str] = set()

    def run(work: Callable[[], object]) -> None:
        try:
            with enter_scope(shop.scope):
                work()
        except (Stale, CannotResolve, OperationalError) as error:
            told.add(type(error).__name__)
        finally:
            connection.close()

    def withdraw() -> None:
        undo_resolution(resolution_id=made.pk, member=shop["finance"], actor=ACTOR, now=NOW)

    threads = [
        threading.Thread(target=run, args=(work,))
        for work in (withdraw, lambda: decided(shop, made.adjustment))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    with enter_scope(shop.scope):
        made.refresh_from_db()
    return made, told


def test_one_order_of_locks_lets_both_end(
    town: tuple[Shop, PlatformAccount, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who comes second finds it withdrawn, or finds it booked and has it undone like any booking."""
    shop, account, pk = town
    meet(monkeypatch)
    made, told = withdraw_and_confirm(shop, pk)
    with enter_scope(shop.scope):
        if told:
            assert (told, made.state) == ({"Stale"}, ResolutionState.REFUSED)
            assert JournalEntry.objects.count() == 0
        else:
            assert made.undo_adjustment_id is not None
        assert_whole(match(account))


def test_in_two_orders_they_wait_for_each_other(
    town: tuple[Shop, PlatformAccount, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, _account, pk = town
    meet(monkeypatch)
    monkeypatch.setattr(undoing, "hold_adjustment", lambda pk: None)
    _made, told = withdraw_and_confirm(shop, pk)
    assert told == {"OperationalError"}


def test_a_new_bill_and_a_confirmation_at_once(town: tuple[Shop, PlatformAccount, int]) -> None:
    """The correction is booked of what the bill said until then, or it is void: never of what is gone."""
    shop, account, pk = town
    with enter_scope(shop.scope):
        set_limit(limit=Money(0), member=None, actor=ACTOR, now=NOW)
        made = do(shop, Difference.objects.get(pk=pk), "adjust")
        bill(account, [STRANGER, STRANGER.but(order_no="POS2", trade_no="43")])
        match(account)
    start = threading.Barrier(2)
    told: list[str] = []

    def run(work: Callable[[], object]) -> None:
        try:
            start.wait(10)
            with enter_scope(shop.scope):
                work()
        except (Stale, NotNow) as error:
            told.append(type(error).__name__)
        finally:
            connection.close()

    def renew() -> None:
        bill(account, [])
        match(account)

    threads = [
        threading.Thread(target=run, args=(work,))
        for work in (renew, lambda: decided(shop, made.adjustment))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    with enter_scope(shop.scope):
        made.refresh_from_db()
        left = Difference.objects.filter(run__is_current=True)
        if told:
            assert (made.state, left.count()) == (ResolutionState.REFUSED, 0)
            assert JournalEntry.objects.count() == 0
        else:
            # It was confirmed before the new bill came; that it stands for nothing now is told.
            assert [row.type for row in left] == ["overbooked"]
        assert_whole(match(account))
