"""Two cashiers refund the same payment at the same moment: with the lock, and with the lock taken off."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from django.db import IntegrityError, connection
from django.db.models import F

from apps.core.audit import Actor
from apps.core.money import Money
from apps.core.tenancy import enter_scope
from apps.merchants.tests.factories import NOW, Shop, make_shop
from apps.payments.models import Payment
from apps.payments.tests.factories import make_account, make_paid
from apps.refunds import services
from apps.refunds.models import Refund

THREADS = 12


def together(work: Callable[[], None]) -> list[str]:
    """Run ``work`` in all threads at once; the names of what each raised, ``""`` for none."""
    start = threading.Barrier(THREADS)
    outcomes: list[str] = []

    def run() -> None:
        try:
            start.wait()
            work()
            outcomes.append("")
        except (services.OverRefund, IntegrityError) as error:
            outcomes.append(type(error).__name__)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


@pytest.fixture
def paid(transactional_db: None) -> tuple[Shop, Payment]:
    shop = make_shop()
    with enter_scope(shop.scope):
        return shop, make_paid(shop, make_account(shop), minor=10_000)


def test_with_the_lock_no_interleaving_refunds_more_than_was_paid(
    paid: tuple[Shop, Payment],
) -> None:
    shop, payment = paid

    def refund() -> None:
        with enter_scope(shop.scope):
            services.request_refund(
                payment_id=payment.pk,
                amount=Money(6_000),
                reason="x",
                member=shop["cashier"],
                actor=Actor("desk"),
                now=NOW,
            )

    outcomes = together(refund)
    assert sorted(outcomes) == ["", *["OverRefund"] * (THREADS - 1)]
    with enter_scope(shop.scope):
        payment.refresh_from_db()
        assert payment.refund_reserved_minor == 6_000
        assert Refund.objects.count() == 1


def test_without_the_lock_the_race_is_real(paid: tuple[Shop, Payment]) -> None:
    """The same check without the row lock lets several through; only the table's CHECK still holds."""
    shop, payment = paid
    looked = threading.Barrier(THREADS)

    def refund() -> None:
        with enter_scope(shop.scope):
            row = Payment.objects.get(pk=payment.pk)
            looked.wait()
            if row.amount_minor - row.refund_reserved_minor < 6_000:
                raise services.OverRefund(Money(0))
            Payment.objects.filter(pk=payment.pk).update(
                refund_reserved_minor=F("refund_reserved_minor") + 6_000
            )

    outcomes = together(refund)
    assert outcomes.count("OverRefund") == 0, "every thread believed there was enough left"
    assert outcomes.count("IntegrityError") == THREADS - 1
