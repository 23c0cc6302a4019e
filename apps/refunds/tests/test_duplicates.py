"""An order paid twice: the second payment goes back by itself, once, and nothing else does."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, time, timedelta

import pytest
from django.test import Client

from apps.approvals.models import Approval
from apps.approvals.tests.factories import confirm
from apps.core.audit import Actor
from apps.core.models import AuditEvent, Due
from apps.core.money import Money
from apps.core.tasks import drain
from apps.ledger.selectors import trial_balance
from apps.merchants.tests.factories import NOW, Shop, inside, make_shop
from apps.payments.models import Order, OrderState, Payment, PaymentState
from apps.payments.services import apply_payment_result, prepare_payment
from apps.payments.tests.factories import (
    PAYER,
    make_account,
    make_order,
    make_paid,
    make_payment,
    paid_result,
)
from apps.platforms.gateway import Outcome, PaymentResult, Product, RefundResult
from apps.platforms.models import PlatformAccount
from apps.refunds import services
from apps.refunds.models import Refund, RefundState
from apps.refunds.services.duplicates import REASON, WAIT, duplicate_refund_no
from apps.refunds.services.timing import ASKED_BACK_AGAIN
from apps.reports.selectors import day_so_far

DESK = Actor("cashier@tea.test")
LATER = NOW + timedelta(minutes=1)


@pytest.fixture
def shop(db: None) -> Iterator[Shop]:
    with inside(make_shop()) as shop:
        yield shop


@pytest.fixture
def accounts(shop: Shop) -> list[PlatformAccount]:
    return [
        make_account(shop),
        make_account(shop, platform="alipay", merchant_no="2088000000000001"),
        make_account(shop, platform="unionpay", merchant_no="777290058100001"),
    ]


def attempts(shop: Shop, accounts: list[PlatformAccount], *, minor: int = 50_000) -> list[Payment]:
    """One attempt of the same order at each account."""
    order = make_order(shop, minor=minor)
    return [
        prepare_payment(
            order_id=order.pk,
            account_id=account.pk,
            product=Product.DYNAMIC_QR,
            now=NOW,
            actor=PAYER,
        )
        for account in accounts
    ]


def succeed(payment: Payment, *, at: datetime = NOW) -> None:
    assert apply_payment_result(
        payment_id=payment.pk,
        result=paid_result(payment, at=at),
        via="notification",
        now=at,
        actor=PAYER,
    )


def give_back(payment: Payment, minor: int, shop: Shop, *, done: bool = True) -> Refund:
    """A refund asked for by a person and, with ``done``, carried out."""
    refund = services.request_refund(
        payment_id=payment.pk,
        amount=Money(minor),
        reason="退货",
        member=shop["cashier"],
        actor=DESK,
        now=NOW,
    )
    if done:
        finish(refund)
    return refund


def finish(refund: Refund, outcome: Outcome = Outcome.SUCCEEDED) -> None:
    if refund.approval is not None:
        confirm(refund.approval, now=NOW)
    assert services.apply_refund_result(
        refund_id=refund.pk,
        result=RefundResult(
            outcome=outcome,
            order_no=refund.payment.order_no,
            refund_no=refund.refund_no,
            platform_refund_no=f"50{refund.pk}",
            amount=Money(refund.amount_minor),
            refunded_at=LATER,
            code="X",
        ),
        via="poll",
        now=LATER,
        actor=DESK,
    )


def run(*, now: datetime = LATER) -> int:
    """What a worker does with the double payments that are due."""
    return drain(now=now, task="refunds.refund_duplicate")


def client_of(shop: Shop) -> Client:
    client = Client(headers={"Accept-Language": "en"})
    client.force_login(shop["owner"])
    return client


def actions(order_id: int) -> list[str]:
    events = AuditEvent.objects.filter(subject_kind="order", subject_id=order_id)
    return list(events.order_by("pk").values_list("action", flat=True))


def test_the_second_payment_goes_back_in_full_by_itself(
    shop: Shop, accounts: list[PlatformAccount]
) -> None:
    first, second, _third = attempts(shop, accounts)
    succeed(first)
    assert not Due.objects.filter(task="refunds.refund_duplicate").exists()
    succeed(second, at=LATER)
    assert run() == 1
    refund = Refund.objects.get()
    # Far above the rule's threshold, and yet nobody must confirm.
    assert (refund.amount_minor, refund.state) == (50_000, RefundState.READY)
    assert (refund.payment_id, refund.is_automatic, refund.reason) == (second.pk, True, REASON)
    assert (refund.requested_by, refund.approval, refund.rule_version) == (None, None, None)
    assert refund.fee_minor == 300
    assert refund.refund_no == duplicate_refund_no(second)
    assert len(REASON.encode()) <= 80
    assert Approval.objects.count() == 0
    assert Due.objects.filter(task="refunds.send", subject_id=refund.pk).count() == 1
    assert actions(first.order_id)[-2:] == ["payment.second", "refund.automatic"]
    # The first is untouched, and so is the attempt that nobody paid.
    first.refresh_from_db()
    assert first.refund_reserved_minor == 0


def test_the_books_end_as_after_one_payment(shop: Shop, accounts: list[PlatformAccount]) -> None:
    first, second, _third = attempts(shop, accounts)
    succeed(first)
    succeed(second, at=LATER)
    run()
    finish(Refund.objects.get())
    second.refresh_from_db()
    assert (second.refunded_minor, second.state) == (50_000, PaymentState.SUCCEEDED)
    balance: dict[str, int] = {}
    for row in trial_balance():
        purpose = row.account.purpose
        balance[purpose] = balance.get(purpose, 0) + row.amount_minor
    assert balance == {"receivable": 49_700, "fees": 300, "sales": -100_000, "refunds": 50_000}
    today = day_so_far(now=LATER, day_starts_at=time(0)).today
    assert (today.payment_count, today.payment_minor) == (2, 100_000)
    assert (today.refund_count, today.refund_minor) == (1, 50_000)
    assert today.net_minor == 50_000


def test_it_may_run_again_and_again(shop: Shop, accounts: list[PlatformAccount]) -> None:
    first, second, _third = attempts(shop, accounts)
    succeed(first)
    succeed(second, at=LATER)
    for _ in range(3):
        assert services.refund_duplicate(payment_id=second.pk, now=LATER) is None
    assert Refund.objects.count() == 1
    assert actions(first.order_id).count("refund.automatic") == 1


def test_what_the_platform_refused_is_asked_back_again_and_then_a_person_decides(
    shop: Shop, accounts: list[PlatformAccount]
) -> None:
    first, second, _third = attempts(shop, accounts)
    succeed(first)
    succeed(second, at=LATER)
    run()
    for wait in ASKED_BACK_AGAIN:
        finish(Refund.objects.latest("pk"), Outcome.FAILED)
        count = Refund.objects.count()
        page = client_of(shop).get(f"/m/{shop.slug}/orders/{first.order_id}/").content.decode()
        assert "The portal asks for it again by itself." in page
        assert run(now=LATER + wait - timedelta(seconds=1)) == 0
        assert run(now=LATER + wait) == 1
        assert Refund.objects.count() == count + 1
    numbers = list(Refund.objects.order_by("pk").values_list("refund_no", flat=True))
    assert numbers == [numbers[0], *(f"{numbers[0]}{number:02d}" for number in range(1, 5))]
    second.refresh_from_db()
    assert second.refund_reserved_minor == second.amount_minor
    finish(Refund.objects.latest("pk"), Outcome.FAILED)
    assert run(now=LATER + timedelta(days=30)) == 0
    page = client_of(shop).get(f"/m/{shop.slug}/orders/{first.order_id}/").content.decode()
    assert "Please settle it with the customer." in page
    second.refresh_from_db()
    assert second.refund_reserved_minor == 0


def test_a_later_try_that_succeeds_ends_it(shop: Shop, accounts: list[PlatformAccount]) -> None:
    first, second, _third = attempts(shop, accounts)
    succeed(first)
    succeed(second, at=LATER)
    run()
    finish(Refund.objects.get(), Outcome.FAILED)
    later = LATER + ASKED_BACK_AGAIN[0]
    run(now=later)
    finish(Refund.objects.latest("pk"))
    assert run(now=later + timedelta(days=30)) == 0
    second.refresh_from_db()
    assert second.refunded_minor == second.amount_minor
    page = client_of(shop).get(f"/m/{shop.slug}/orders/{first.order_id}/").content.decode()
    assert "¥500.00 went back by itself." in page


def test_of_three_payments_one_stays(shop: Shop, accounts: list[PlatformAccount]) -> None:
    payments = attempts(shop, accounts)
    for payment in payments:
        succeed(payment, at=LATER)
    assert run() == 2
    assert sorted(Refund.objects.values_list("payment_id", flat=True)) == [
        payment.pk for payment in payments[1:]
    ]


def test_a_single_payment_is_left_alone(shop: Shop, accounts: list[PlatformAccount]) -> None:
    payment = make_paid(shop, accounts[0])
    assert services.refund_duplicate(payment_id=payment.pk, now=LATER) is None
    open_one = make_payment(shop, accounts[0])
    assert services.refund_duplicate(payment_id=open_one.pk, now=LATER) is None
    assert services.refund_duplicate(payment_id=0, now=LATER) is None
    assert Refund.objects.count() == 0


def test_what_a_person_gave_back_before_is_not_given_twice(
    shop: Shop, accounts: list[PlatformAccount]
) -> None:
    first, second, _third = attempts(shop, accounts)
    succeed(first)
    succeed(second, at=LATER)
    give_back(second, 20_000, shop)
    run()
    automatic = Refund.objects.get(is_automatic=True)
    assert automatic.amount_minor == 30_000
    assert Refund.objects.count() == 2
    second.refresh_from_db()
    assert second.refund_reserved_minor == 50_000


def test_a_second_payment_given_back_by_hand_needs_nothing(
    shop: Shop, accounts: list[PlatformAccount]
) -> None:
    first, second, _third = attempts(shop, accounts)
    succeed(first)
    succeed(second, at=LATER)
    give_back(second, 50_000, shop, done=False)
    run()
    assert not Refund.objects.filter(is_automatic=True).exists()


def test_part_of_the_first_refunded_leaves_the_second_a_duplicate(
    shop: Shop, accounts: list[PlatformAccount]
) -> None:
    first, second, _third = attempts(shop, accounts)
    succeed(first)
    give_back(first, 10_000, shop)
    succeed(second, at=LATER)
    run()
    assert Refund.objects.get(is_automatic=True).payment_id == second.pk


def test_it_stays_where_the_first_went_back_before(
    shop: Shop, accounts: list[PlatformAccount]
) -> None:
    first, second, _third = attempts(shop, accounts)
    succeed(first)
    give_back(first, 50_000, shop)
    succeed(second, at=LATER)
    run()
    assert not Refund.objects.filter(is_automatic=True).exists()
    assert actions(first.order_id)[-1] == "payment.second_kept"
    services.refund_duplicate(payment_id=second.pk, now=LATER)
    assert actions(first.order_id).count("payment.second_kept") == 1


@pytest.mark.parametrize(("outcome", "kept"), [(Outcome.SUCCEEDED, True), (Outcome.FAILED, False)])
def test_while_the_first_is_going_back_it_is_too_early_to_tell(
    shop: Shop, accounts: list[PlatformAccount], outcome: Outcome, kept: bool
) -> None:
    first, second, _third = attempts(shop, accounts)
    succeed(first)
    going = give_back(first, 50_000, shop, done=False)
    succeed(second, at=LATER)
    run()
    assert not Refund.objects.filter(is_automatic=True).exists()
    due = Due.objects.get(task="refunds.refund_duplicate")
    assert (due.subject_id, due.due_at) == (second.pk, LATER + WAIT)
    finish(going, outcome)
    run(now=due.due_at)
    assert Refund.objects.filter(is_automatic=True).exists() is not kept
    assert ("payment.second_kept" in actions(first.order_id)) is kept
    assert not Due.objects.filter(task="refunds.refund_duplicate").exists()


def test_paid_after_closing_pays_the_order_and_stays(
    shop: Shop, accounts: list[PlatformAccount]
) -> None:
    payment = make_payment(shop, accounts[0])
    closed = PaymentResult(outcome=Outcome.CLOSED, order_no=payment.order_no)
    end = payment.expires_at
    apply_payment_result(payment_id=payment.pk, result=closed, via="close", now=end, actor=PAYER)
    assert Order.objects.get(pk=payment.order_id).state == OrderState.CLOSED
    succeed(payment, at=end + timedelta(minutes=5))
    assert Order.objects.get(pk=payment.order_id).state == OrderState.PAID
    assert not Due.objects.filter(task="refunds.refund_duplicate").exists()


def test_pages_say_who_made_it(shop: Shop, accounts: list[PlatformAccount]) -> None:
    first, second, _third = attempts(shop, accounts)
    succeed(first)
    succeed(second, at=LATER)
    run()
    refund = Refund.objects.get()
    client = client_of(shop)
    pages = {
        name: client.get(f"/m/{shop.slug}/{path}").content.decode()
        for name, path in (
            ("list", "refunds/"),
            ("detail", f"refunds/{refund.pk}/"),
            ("order", f"orders/{first.order_id}/"),
        )
    }
    assert "Made by the portal" in pages["list"]
    for page in pages.values():
        assert "Paid twice, given back by itself" in page
        assert REASON not in page
    assert "The order had been paid before, so this payment goes back by itself." in pages["detail"]
    assert "Paid twice: the portal gives ¥500.00 back by itself" in pages["order"]
    assert "¥500.00 goes back by itself; you need not do anything." in pages["order"]
    finish(refund)
    page = client.get(f"/m/{shop.slug}/orders/{first.order_id}/").content.decode()
    assert "¥500.00 went back by itself." in page
    # The order is paid as it should be: nothing of that was given back.
    assert "Partly refunded" not in page
    assert "¥500.00 went back to the customer" not in page
    # The payment that stays is the one that may be refunded by hand.
    assert f"/refunds/new/{first.pk}/" in page
    assert f"/refunds/new/{second.pk}/" not in page
