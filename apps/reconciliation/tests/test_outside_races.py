"""Two bookings at the same moment, with what holds them apart and without it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection

from apps.core.audit import Actor
from apps.core.money import Money
from apps.core.tenancy import enter_scope
from apps.ledger.models import JournalEntry
from apps.merchants.tests.factories import NOW, Shop, make_shop
from apps.payments.models import Payment
from apps.payments.tests.factories import make_account
from apps.platforms.models import PlatformAccount
from apps.reconciliation.models import ReconciliationRun
from apps.reconciliation.services import outside as booking
from apps.reconciliation.tests.days import DAY, NOON, bill, match, paid
from apps.reconciliation.tests.outside import back, rule, sale
from apps.refunds.models import Refund
from apps.refunds.services import OverRefund, request_refund, weigh_outside_refunds
from apps.statements.tests.bills import row_of

THREADS = 6


def together(shop: Shop, *works: Callable[[], object]) -> list[str]:
    """Run all at once, each in a thread of its own; the names of what they raised, "" for none."""
    start = threading.Barrier(len(works))
    outcomes: list[str] = []

    def run(work: Callable[[], object]) -> None:
        try:
            with enter_scope(shop.scope):
                start.wait()
                work()
            outcomes.append("")
        except (IntegrityError, OverRefund) as error:
            outcomes.append(type(error).__name__)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[work]) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(outcomes)


@pytest.fixture
def taken(transactional_db: None) -> tuple[Shop, PlatformAccount]:
    shop = make_shop()
    with enter_scope(shop.scope):
        account = make_account(shop)
        rule(account)
    return shop, account


def test_a_day_matched_by_many_at_once_is_booked_once(taken: tuple[Shop, PlatformAccount]) -> None:
    shop, account = taken
    with enter_scope(shop.scope):
        bill(account, [sale(1), sale(2), back(sale(1), 1, 400)])
    assert together(shop, *[lambda: match(account)] * THREADS) == [""] * THREADS
    with enter_scope(shop.scope):
        assert Payment.objects.count() == 2
        assert Refund.objects.count() == 1
        assert JournalEntry.objects.count() == 3
        run = ReconciliationRun.objects.get(is_current=True)
        assert (run.outside_count, run.difference_count) == (3, 0)


def test_two_days_that_have_the_same_row_book_it_once(taken: tuple[Shop, PlatformAccount]) -> None:
    """No lock is common to them: the numbers' unique keys let one of them book."""
    shop, account = taken
    later = NOW + timedelta(days=1)
    with enter_scope(shop.scope):
        bill(account, [sale(1)])
        bill(account, [sale(1, at=NOON + timedelta(days=1))], day=DAY + timedelta(days=1))
    works = (
        lambda: match(account, now=later),
        lambda: match(account, day=DAY + timedelta(days=1), now=later),
    )
    assert together(shop, *works) == ["", ""]
    with enter_scope(shop.scope):
        assert Payment.objects.count() == JournalEntry.objects.count() == 1
        assert ReconciliationRun.objects.filter(is_current=True).count() == 2


def _refund_both_ways(shop: Shop, account: PlatformAccount) -> list[str]:
    """A cashier refunds here while the bill tells of a refund made at the platform; together they are too much."""
    with enter_scope(shop.scope):
        payment = paid(shop, account)
        bill(account, [row_of(payment), back(row_of(payment), 1, 6_000)])

    def cashier() -> None:
        request_refund(
            payment_id=payment.pk,
            amount=Money(6_000),
            reason="凉了",
            member=shop["owner"],
            actor=Actor("desk"),
            now=NOW,
        )

    return together(shop, cashier, lambda: match(account))


def test_with_the_lock_one_of_both_refunds_stands(taken: tuple[Shop, PlatformAccount]) -> None:
    shop, account = taken
    outcomes = _refund_both_ways(shop, account)
    assert outcomes in (["", ""], ["", "OverRefund"])
    with enter_scope(shop.scope):
        assert Refund.objects.count() == 1
        assert Payment.objects.get().refund_reserved_minor == 6_000


def test_without_the_lock_the_race_is_real(
    taken: tuple[Shop, PlatformAccount], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both believe that enough is left; only the table's CHECK holds, and the whole day's matching fails by it."""
    shop, account = taken
    looked, asked = threading.Event(), threading.Event()
    monkeypatch.setattr(booking, "hold_payments", lambda *, source: None)
    weigh = weigh_outside_refunds

    def weigh_and_wait(*, refunds: str, payments: str, back_ppm: int) -> None:
        weigh(refunds=refunds, payments=payments, back_ppm=back_ppm)
        looked.set()
        asked.wait(timeout=20)

    monkeypatch.setattr(booking, "weigh_outside_refunds", weigh_and_wait)
    with enter_scope(shop.scope):
        payment = paid(shop, account)
        bill(account, [row_of(payment), back(row_of(payment), 1, 6_000)])

    def cashier() -> None:
        looked.wait(timeout=20)
        request_refund(
            payment_id=payment.pk,
            amount=Money(6_000),
            reason="凉了",
            member=shop["owner"],
            actor=Actor("desk"),
            now=NOW,
        )
        asked.set()

    assert together(shop, cashier, lambda: match(account)) == ["", "IntegrityError"]
