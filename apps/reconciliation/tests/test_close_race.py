"""Payments that arrive while the day is being closed: each lands in the day and its sums, or in the next day."""

from __future__ import annotations

import threading
import time as clocks
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from apps.core.audit import Actor
from apps.core.tenancy import enter_scope
from apps.ledger.models import BusinessDay
from apps.ledger.services import days
from apps.merchants.tests.factories import NOW, Shop, make_shop
from apps.payments.models import Payment, PaymentState
from apps.payments.services import apply_payment_result
from apps.payments.tests.factories import make_payment, paid_result
from apps.reconciliation.models import DayClose
from apps.reconciliation.selectors import Checklist, check_day, sum_day
from apps.reconciliation.services import closing
from apps.reconciliation.tests.closes import close, settled
from apps.reconciliation.tests.days import DAY, NOON

MANY = 8


@pytest.fixture
def day(transactional_db: None) -> tuple[Shop, list[Payment]]:
    """A settled day of two payments, and attempts of it that were given up and are paid after all."""
    shop = make_shop()
    with enter_scope(shop.scope), transaction.atomic():
        account, _payments = settled(shop)
        given_up = [make_payment(shop, account, minor=1_000, now=NOON) for _ in range(MANY)]
        Payment.objects.filter(pk__in=[row.pk for row in given_up]).update(
            state=PaymentState.CLOSED
        )
    return shop, given_up


def pay(payment: Payment) -> None:
    """What the platform tells in the end, in the caller's transaction."""
    Payment.objects.filter(pk=payment.pk).update(state=PaymentState.PENDING)
    apply_payment_result(
        payment_id=payment.pk,
        result=paid_result(payment, at=NOON),
        via="notification",
        now=NOW,
        actor=Actor.system("test"),
    )


def run(work: Callable[[], None]) -> threading.Thread:
    def guarded() -> None:
        try:
            work()
        finally:
            connection.close()

    thread = threading.Thread(target=guarded)
    thread.start()
    return thread


def close_while_one_is_posting(
    shop: Shop, payments: list[Payment], monkeypatch: pytest.MonkeyPatch
) -> DayClose:
    """A payment has posted into the day and not committed when the closing begins; it commits when the closing had time
    to read."""
    posted, looked = threading.Event(), threading.Event()

    def looks(*args: Any, **named: Any) -> Checklist:
        found = check_day(*args, **named)
        looked.set()
        return found

    monkeypatch.setattr(closing, "check_day", looks)

    def slow() -> None:
        with enter_scope(shop.scope), transaction.atomic():
            pay(payments[0])
            posted.set()
            looked.wait(1.0)

    poster = run(slow)
    posted.wait(10)
    with enter_scope(shop.scope):
        done = close(shop)
    poster.join()
    return done


def test_with_the_lock_the_closing_waits_and_counts_what_was_posting(
    day: tuple[Shop, list[Payment]], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, payments = day
    done = close_while_one_is_posting(shop, payments, monkeypatch)
    with enter_scope(shop.scope):
        assert (done.payment_count, done.payment_minor) == (3, 13_500)
        assert sum_day(DAY).payment_minor == done.payment_minor


def test_without_the_lock_the_closing_misses_it(
    day: tuple[Shop, list[Payment]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same with FOR UPDATE taken out: the sums are read before the payment is there, and it lands in the day all the
    same."""
    shop, payments = day
    monkeypatch.setattr(days, "HOLD_DAY", days.HOLD_DAY.removesuffix(" FOR UPDATE"))
    done = close_while_one_is_posting(shop, payments, monkeypatch)
    with enter_scope(shop.scope):
        assert (done.payment_count, done.payment_minor) == (2, 12_500)
        assert sum_day(DAY).payment_minor == 13_500, "in the day, and not in its closing"


def test_a_storm_of_payments_leaves_none_between_the_days(
    day: tuple[Shop, list[Payment]],
) -> None:
    shop, payments = day
    start = threading.Barrier(MANY + 1)

    def one(payment: Payment, wait: float) -> Callable[[], None]:
        def work() -> None:
            start.wait()
            clocks.sleep(wait)
            with enter_scope(shop.scope), transaction.atomic():
                pay(payment)

        return work

    threads = [run(one(payment, n * 0.004)) for n, payment in enumerate(payments)]
    start.wait()
    clocks.sleep(0.01)
    with enter_scope(shop.scope):
        done = close(shop)
    for thread in threads:
        thread.join()
    with enter_scope(shop.scope):
        ids = [payment.pk for payment in payments]
        landed = dict(Payment.objects.filter(pk__in=ids).values_list("pk", "booked_date"))
        assert set(landed.values()) <= {DAY, DAY + timedelta(days=1)}
        inside = [pk for pk, booked in landed.items() if booked == DAY]
        assert done.payment_count == 2 + len(inside)
        assert done.payment_minor == 12_500 + 1_000 * len(inside)
        assert sum_day(DAY).payment_count == 2 + len(inside)
        assert sum_day(DAY + timedelta(days=1)).payment_count == MANY - len(inside)


def test_two_members_close_at_once_and_one_closing_is_made(
    day: tuple[Shop, list[Payment]],
) -> None:
    shop, _payments = day
    start = threading.Barrier(4)
    outcomes: list[str] = []

    def work() -> None:
        start.wait()
        try:
            with enter_scope(shop.scope):
                close(shop)
            outcomes.append("closed")
        except (days.DayClosed, IntegrityError) as error:
            outcomes.append(type(error).__name__)

    for thread in [run(work) for _ in range(4)]:
        thread.join()
    assert sorted(outcomes) == ["DayClosed"] * 3 + ["closed"]
    with enter_scope(shop.scope):
        assert DayClose.objects.get().version == 1
        assert BusinessDay.objects.get(day=DAY).version == 1
