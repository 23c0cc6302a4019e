"""Two at the same moment, with the lock and with the lock taken off: cashiers who refund, workers who give back what was
paid twice."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
from django.db import IntegrityError, connection
from django.db.models import F, Sum

from apps.core.audit import Actor
from apps.core.money import Money
from apps.core.tenancy import enter_scope
from apps.merchants.tests.factories import NOW, Shop, make_shop
from apps.payments.models import Payment
from apps.payments.services import apply_payment_result, prepare_payment
from apps.payments.tests.factories import PAYER, make_account, make_order, make_paid, paid_result
from apps.platforms.gateway import Product
from apps.platforms.models import PlatformAccount
from apps.platforms.services import pacing
from apps.platforms.tests.fakes import FakeGateway
from apps.refunds import services
from apps.refunds.models import Refund, RefundState
from apps.refunds.services import sending
from apps.refunds.services.duplicates import REASON, duplicate_refund_no
from apps.refunds.services.requesting import reserve

THREADS = 12
#: How many ask for one payment's money at the same moment in the proof.
MANY = 200


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


#: So many of them hold a connection at a time: what is left of the server's for the test's own. The others wait for one, as a
#: request does in front of a database whose connections are all taken.
PLACES = threading.BoundedSemaphore(150)


def many_at_once(*steps: Callable[[], None]) -> list[str]:
    """Begin ``MANY`` requests at once, each on a connection of its own a step; nobody begins a step before all have done
    the one before it. The names of what each raised, "" for none."""
    starts = [threading.Barrier(MANY) for _ in steps]
    outcomes: list[str] = []

    def run() -> None:
        outcome = ""
        for start, step in zip(starts, steps, strict=True):
            start.wait()
            with PLACES:
                try:
                    step()
                except (services.OverRefund, IntegrityError) as error:
                    outcome = outcome or type(error).__name__
                finally:
                    connection.close()
        outcomes.append(outcome)

    threads = [threading.Thread(target=run) for _ in range(MANY)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


@pytest.mark.slow
def test_of_two_hundred_at_once_exactly_what_was_paid_is_refunded(
    paid: tuple[Shop, Payment],
) -> None:
    """Parts of ¥3 of a payment of ¥100: thirty-three fit, whatever the interleaving, and one more would not."""
    shop, payment = paid

    def refund() -> None:
        with enter_scope(shop.scope):
            services.request_refund(
                payment_id=payment.pk,
                amount=Money(300),
                reason="x",
                member=shop["cashier"],
                actor=Actor("desk"),
                now=NOW,
            )

    outcomes = many_at_once(refund)
    assert len(outcomes) == MANY
    assert outcomes.count("") == 33
    assert outcomes.count("OverRefund") == MANY - 33
    with enter_scope(shop.scope):
        payment.refresh_from_db()
        held = Refund.objects.aggregate(sum=Sum("amount_minor"))["sum"]
        assert payment.refund_reserved_minor == held == 9_900


@pytest.mark.slow
def test_of_two_hundred_without_the_lock_many_times_what_was_paid_is_let_through(
    paid: tuple[Shop, Payment],
) -> None:
    """The same check on a row that is not locked: all two hundred find enough left. Only the table's CHECK still holds."""
    shop, payment = paid
    let_through: list[int] = []

    def look() -> None:
        with enter_scope(shop.scope):
            row = Payment.objects.get(pk=payment.pk)
        if row.amount_minor - row.refund_reserved_minor < 300:
            raise services.OverRefund(Money(0))
        let_through.append(300)

    def take() -> None:
        with enter_scope(shop.scope):
            Payment.objects.filter(pk=payment.pk).update(
                refund_reserved_minor=F("refund_reserved_minor") + 300
            )

    outcomes = many_at_once(look, take)
    assert sum(let_through) == MANY * 300 == 6 * payment.amount_minor
    assert outcomes.count("OverRefund") == 0
    assert outcomes.count("IntegrityError") == MANY - 33


@pytest.fixture
def paid_thrice(transactional_db: None) -> tuple[Shop, list[Payment]]:
    """An order that three accounts were paid for."""
    shop = make_shop()
    with enter_scope(shop.scope):
        order = make_order(shop, minor=10_000)
        payments = [
            prepare_payment(
                order_id=order.pk,
                account_id=make_account(shop, merchant_no=f"19000000{number:02d}").pk,
                product=Product.DYNAMIC_QR,
                now=NOW,
                actor=PAYER,
            )
            for number in range(3)
        ]
        for payment in payments:
            apply_payment_result(
                payment_id=payment.pk,
                result=paid_result(payment),
                via="notification",
                now=NOW,
                actor=PAYER,
            )
    return shop, payments


def test_workers_at_once_give_a_second_payment_back_once(
    paid_thrice: tuple[Shop, list[Payment]],
) -> None:
    shop, (_first, second, _third) = paid_thrice

    def work() -> None:
        with enter_scope(shop.scope):
            services.refund_duplicate(payment_id=second.pk, now=NOW)

    assert together(work) == [""] * THREADS
    with enter_scope(shop.scope):
        refund = Refund.objects.get()
        second.refresh_from_db()
    assert (refund.payment_id, refund.amount_minor) == (second.pk, 10_000)
    assert second.refund_reserved_minor == 10_000


def test_two_payments_too_many_do_not_take_each_other_for_the_one_that_stays(
    paid_thrice: tuple[Shop, list[Payment]],
) -> None:
    """The first went back by hand: of the two others exactly one goes back, whoever's worker is first."""
    shop, (first, second, third) = paid_thrice
    with enter_scope(shop.scope):
        Payment.objects.filter(pk=first.pk).update(
            refund_reserved_minor=F("amount_minor"), refunded_minor=F("amount_minor")
        )
    turn = iter([second.pk, third.pk] * THREADS)
    numbers = threading.Lock()

    def work() -> None:
        with numbers:
            mine = next(turn)
        with enter_scope(shop.scope):
            services.refund_duplicate(payment_id=mine, now=NOW)

    assert together(work) == [""] * THREADS
    with enter_scope(shop.scope):
        assert Refund.objects.count() == 1


def test_without_the_lock_each_worker_believes_that_it_is_the_first(
    paid_thrice: tuple[Shop, list[Payment]],
) -> None:
    """The same check without the row locks lets everybody through; only the refund's derived number still holds."""
    shop, (_first, second, _third) = paid_thrice
    looked = threading.Barrier(THREADS)
    believed: list[bool] = []

    def work() -> None:
        with enter_scope(shop.scope):
            row = Payment.objects.get(pk=second.pk)
            believed.append(not Refund.objects.filter(payment=row, is_automatic=True).exists())
            looked.wait()
            reserve(
                row,
                amount=Money(row.amount_minor),
                refund_no=duplicate_refund_no(row),
                reason=REASON,
                state=RefundState.READY,
                is_automatic=True,
                created_at=NOW,
            )

    outcomes = together(work)
    assert believed == [True] * THREADS
    assert sorted(outcomes) == ["", *["IntegrityError"] * (THREADS - 1)]
    with enter_scope(shop.scope):
        assert Refund.objects.count() == 1


def test_two_workers_at_once_give_a_refund_one_time(
    paid: tuple[Shop, Payment], monkeypatch: pytest.MonkeyPatch
) -> None:
    """UnionPay knows a refund by number and time together: with two times it would be two refunds."""
    shop, payment = paid
    platform = FakeGateway()
    monkeypatch.setattr(sending, "gateway_of", lambda _account, **_caller: platform)
    take_one = pacing.take_one
    with enter_scope(shop.scope):
        refund = services.request_refund(
            payment_id=payment.pk,
            amount=Money(1_000),
            reason="x",
            member=shop["cashier"],
            actor=Actor("desk"),
            now=NOW,
        )

        def after_the_other(account: PlatformAccount, *, now: datetime) -> pacing.Admission:
            monkeypatch.setattr(pacing, "take_one", take_one)
            # The other worker, which has loaded the refund as well, is a moment faster.
            services.send_refund(refund_id=refund.pk, now=NOW)
            return take_one(account, now=now)

        monkeypatch.setattr(pacing, "take_one", after_the_other)
        services.send_refund(refund_id=refund.pk, now=NOW + timedelta(seconds=2))
        sent = [request for name, request in platform.calls if name == "refund"]
        assert {request.began_at for request in sent} <= {NOW}
        assert sent
        assert Refund.objects.get(pk=refund.pk).sent_at == NOW
