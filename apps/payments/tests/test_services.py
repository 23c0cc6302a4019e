"""A payment's state moves once for each fact, whatever road the word came by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from apps.core.audit import Actor
from apps.core.models import AuditEvent, Door, Due
from apps.core.money import Money
from apps.ledger.models import JournalEntry
from apps.ledger.selectors import trial_balance
from apps.merchants.tests.factories import NOW, Shop, inside, make_shop
from apps.payments import services
from apps.payments.models import Order, OrderState, Payment, PaymentState
from apps.payments.tests.factories import (
    PAYER,
    make_account,
    make_order,
    make_paid,
    make_payment,
    paid_result,
)
from apps.platforms import registry
from apps.platforms.gateway import Capability, Outcome, PaymentResult, Platform, Product
from apps.platforms.models import PlatformAccount
from apps.platforms.tests.fakes import FakeGateway

POLL = Actor.system("poll")


@pytest.fixture
def shop(db: None) -> Iterator[Shop]:
    with inside(make_shop()) as shop:
        yield shop


@pytest.fixture
def account(shop: Shop) -> PlatformAccount:
    return make_account(shop)


def word(payment: Payment, outcome: Outcome) -> PaymentResult:
    return PaymentResult(outcome=outcome, order_no=payment.order_no, code=outcome.value)


def apply(payment: Payment, result: PaymentResult, *, via: str = "poll") -> bool:
    return services.apply_payment_result(
        payment_id=payment.pk, result=result, via=via, now=NOW, actor=POLL
    )


@pytest.mark.parametrize("minor", [0, -1, 10_000_000_001, 10**14])
def test_an_amount_out_of_range_opens_no_order(shop: Shop, minor: int) -> None:
    with pytest.raises(services.AmountOutOfRange):
        make_order(shop, minor=minor)
    assert Order.objects.count() == 0
    assert Door.objects.filter(kind="order").count() == 0


def test_success_pays_the_order_and_posts_once(shop: Shop, account: PlatformAccount) -> None:
    payment = make_payment(shop, account, minor=1_000)
    assert apply(payment, paid_result(payment), via="notification")
    for road in ("poll", "query", "bill", "notification"):
        assert not apply(payment, paid_result(payment), via=road)
    payment.refresh_from_db()
    order = Order.objects.get(pk=payment.order_id)
    assert (payment.state, payment.fee_minor, order.state) == ("succeeded", 6, "paid")
    assert str(payment.booked_date) == "2026-11-24"
    assert JournalEntry.objects.count() == 1
    assert {b.account.purpose: b.amount_minor for b in trial_balance()} == {
        "receivable": 994,
        "fees": 6,
        "sales": -1000,
    }
    assert AuditEvent.objects.filter(action="payment.succeeded").count() == 1
    assert not Due.objects.filter(task="payments.poll", subject_id=payment.pk).exists()


def test_the_payer_is_kept_only_as_a_keyed_hash(shop: Shop, account: PlatformAccount) -> None:
    payment = make_paid(shop, account)
    assert len(payment.payer_hash) == 64
    assert "oPayer" not in str(vars(payment))


def test_another_amount_is_refused_and_changes_nothing(
    shop: Shop, account: PlatformAccount
) -> None:
    payment = make_payment(shop, account, minor=1_000)
    result = paid_result(payment)
    forged = PaymentResult(
        outcome=Outcome.SUCCEEDED,
        order_no=result.order_no,
        platform_trade_no="x",
        amount=Money(1),
        paid_at=NOW,
    )
    with pytest.raises(services.ResultMismatch):
        apply(payment, forged)
    payment.refresh_from_db()
    assert payment.state == PaymentState.CREATED
    assert JournalEntry.objects.count() == 0


def test_paid_while_we_were_closing_is_paid(shop: Shop, account: PlatformAccount) -> None:
    payment = make_payment(shop, account)
    assert apply(payment, word(payment, Outcome.CLOSED), via="close")
    assert apply(payment, paid_result(payment), via="notification")
    payment.refresh_from_db()
    assert payment.state == PaymentState.SUCCEEDED
    assert Order.objects.get(pk=payment.order_id).state == OrderState.PAID


@pytest.mark.parametrize("late", [Outcome.CLOSED, Outcome.FAILED, Outcome.PENDING, Outcome.UNKNOWN])
def test_nothing_takes_success_back(shop: Shop, account: PlatformAccount, late: Outcome) -> None:
    payment = make_paid(shop, account)
    assert not apply(payment, word(payment, late))
    payment.refresh_from_db()
    assert payment.state == PaymentState.SUCCEEDED


def test_a_second_wallet_paying_the_same_order_is_recorded(
    shop: Shop, account: PlatformAccount
) -> None:
    payment = make_payment(shop, account)
    other = make_account(shop, platform="alipay", merchant_no="2088000000000001")
    second = services.prepare_payment(
        order_id=payment.order_id,
        account_id=other.pk,
        product=Product.BROWSER,
        now=NOW,
        actor=PAYER,
    )
    apply(payment, paid_result(payment))
    assert Due.objects.get(task="payments.poll", subject_id=second.pk).due_at == NOW
    apply(second, paid_result(second))
    assert AuditEvent.objects.filter(action="payment.second").count() == 1
    assert JournalEntry.objects.count() == 2
    # What is too much goes back: the second, and only that one is asked about.
    due = Due.objects.get(task="refunds.refund_duplicate")
    assert (due.subject_id, due.due_at) == (second.pk, NOW)


def test_asking_twice_gives_the_same_attempt(shop: Shop, account: PlatformAccount) -> None:
    payment = make_payment(shop, account)
    again = services.prepare_payment(
        order_id=payment.order_id,
        account_id=account.pk,
        product=Product.DYNAMIC_QR,
        now=NOW,
        actor=PAYER,
    )
    assert again.pk == payment.pk
    assert Payment.objects.count() == 1


def test_the_wallet_of_a_wallet_s_own_platform_is_that_wallet(
    shop: Shop, account: PlatformAccount
) -> None:
    payment = make_payment(shop, account)
    assert payment.wallet == "wechatpay"
    with pytest.raises(services.OrderNotPayable, match="wallet"):
        services.prepare_payment(
            order_id=payment.order_id,
            account_id=account.pk,
            product=Product.DYNAMIC_QR,
            wallet="alipay",
            now=NOW,
            actor=PAYER,
        )
    assert Payment.objects.count() == 1


def test_who_takes_several_wallets_is_told_which(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Aggregator(FakeGateway):
        capabilities = frozenset({Capability.AGGREGATES, Capability.DYNAMIC_QR})

    monkeypatch.setitem(registry.CONNECTORS, Platform.SHOUQIANBA, Aggregator)
    order = make_order(shop)
    account = make_account(shop, platform="shouqianba")

    def prepare(wallet: str, *, seconds: int = 0) -> Payment:
        return services.prepare_payment(
            order_id=order.pk,
            account_id=account.pk,
            product=Product.DYNAMIC_QR,
            wallet=wallet,
            now=NOW + timedelta(seconds=seconds),
            actor=PAYER,
        )

    for wallet in ("", "shouqianba", "qq"):
        with pytest.raises(services.OrderNotPayable, match="wallet"):
            prepare(wallet)
    wechat, alipay = prepare("wechatpay"), prepare("alipay")
    assert wechat.order_no != alipay.order_no
    assert prepare("wechatpay", seconds=224).pk == wechat.pk
    # Its code is dead by now: a new attempt, while the old one waits for the poller.
    again = prepare("wechatpay", seconds=225)
    assert again.order_no != wechat.order_no
    assert again.expires_at == NOW + timedelta(seconds=450)
    # Whoever paid in the end is who is kept.
    told = replace(paid_result(alipay), wallet="unionpay")
    apply(alipay, told)
    alipay.refresh_from_db()
    assert (alipay.wallet, alipay.platform) == ("unionpay", "shouqianba")


def test_an_order_past_its_time_takes_no_attempt(shop: Shop, account: PlatformAccount) -> None:
    order = make_order(shop)
    with pytest.raises(services.OrderNotPayable, match="expired"):
        services.prepare_payment(
            order_id=order.pk,
            account_id=account.pk,
            product=Product.BROWSER,
            now=NOW + timedelta(minutes=15),
            actor=PAYER,
        )
    assert Payment.objects.count() == 0


def test_an_order_without_attempts_closes_at_its_time(shop: Shop) -> None:
    order = make_order(shop)
    before = NOW + timedelta(minutes=14)
    assert services.expire_order(order_id=order.pk, now=before) == order.expires_at
    assert services.expire_order(order_id=order.pk, now=order.expires_at) is None
    order.refresh_from_db()
    assert order.state == OrderState.CLOSED


def test_an_order_waits_for_an_attempt_that_may_still_be_paid(
    shop: Shop, account: PlatformAccount
) -> None:
    payment = make_payment(shop, account)
    end = payment.expires_at
    assert services.expire_order(order_id=payment.order_id, now=end) == end + timedelta(seconds=15)
    services.apply_payment_result(
        payment_id=payment.pk,
        result=word(payment, Outcome.CLOSED),
        via="close",
        now=end,
        actor=POLL,
    )
    assert Order.objects.get(pk=payment.order_id).state == OrderState.CLOSED


def test_what_cannot_be_closed_is_tried_less_and_less(shop: Shop, account: PlatformAccount) -> None:
    payment = make_payment(shop, account)
    waits = []
    for late in (0, 60, 600, 86_400, 30 * 86_400):
        now = payment.expires_at + timedelta(seconds=late)
        again = services.expire_order(order_id=payment.order_id, now=now)
        assert again is not None
        waits.append((again - now).total_seconds())
    assert waits == [15, 15, 150, 3600, 3600]


def test_a_payers_id_is_kept_as_a_hash_only(shop: Shop, account: PlatformAccount) -> None:
    order = make_order(shop)

    def prepare(payer_id: str) -> Payment:
        return services.prepare_payment(
            order_id=order.pk,
            account_id=account.pk,
            product=Product.IN_APP,
            now=NOW,
            actor=PAYER,
            payer_id=payer_id,
        )

    payment = prepare("oPayer-in-clear")
    assert "oPayer-in-clear" not in str(payment.handover)
    assert prepare("oPayer-in-clear").pk == payment.pk
    assert prepare("oAnother").pk != payment.pk


def test_giving_up_asks_the_platform_at_once(shop: Shop, account: PlatformAccount) -> None:
    payment = make_payment(shop, account)
    later = NOW + timedelta(minutes=1)
    services.close_order(order_id=payment.order_id, now=later, actor=PAYER)
    payment.refresh_from_db()
    assert payment.expires_at == later
    assert Due.objects.get(task="payments.poll", subject_id=payment.pk).due_at <= later


def test_one_trade_number_cannot_pay_two_payments(shop: Shop, account: PlatformAccount) -> None:
    first = make_paid(shop, account)
    second = make_payment(shop, account)
    with pytest.raises(services.ResultMismatch, match="trade number"):
        apply(second, paid_result(second, trade_no=first.platform_trade_no))
    second.refresh_from_db()
    assert second.state == PaymentState.CREATED


def test_an_attempt_closed_early_is_looked_at_once_more_after_its_time(
    shop: Shop, account: PlatformAccount
) -> None:
    payment = make_payment(shop, account)
    apply(payment, word(payment, Outcome.CLOSED), via="close")
    due = Due.objects.get(task="payments.poll", subject_id=payment.pk)
    assert due.due_at == NOW + timedelta(minutes=16)
    assert (
        services.poll_payment(payment_id=payment.pk, now=NOW + timedelta(minutes=5)) == due.due_at
    )


def test_an_attempt_closed_at_its_time_is_done_with(shop: Shop, account: PlatformAccount) -> None:
    payment = make_payment(shop, account)
    services.apply_payment_result(
        payment_id=payment.pk,
        result=word(payment, Outcome.CLOSED),
        via="close",
        now=payment.expires_at,
        actor=POLL,
    )
    assert not Due.objects.filter(task="payments.poll", subject_id=payment.pk).exists()
