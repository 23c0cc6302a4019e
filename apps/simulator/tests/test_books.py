"""The books: fees, states, expiry, refunds."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.simulator import books, faults
from apps.simulator.models import Merchant, Order, OrderState, Refund, RefundState
from apps.simulator.payers import PAYERS

NOW = datetime(2026, 5, 1, 2, 0, tzinfo=UTC)
DEMO = PAYERS["demo"]


def make_order(merchant: Merchant, number: str = "P00001", amount_fen: int = 2500) -> Order:
    return books.create_order(
        merchant=merchant,
        product="native",
        out_trade_no=number,
        amount_fen=amount_fen,
        now=NOW,
        expires_at=NOW + timedelta(hours=2),
        code_content=f"weixin://{number}",
        code_expires_at=NOW + timedelta(hours=2),
    )


@pytest.mark.parametrize(
    ("amount", "rate", "fee"),
    [
        (2500, 6000, 15),
        (1, 6000, 0),
        (83, 6000, 0),
        (84, 6000, 1),
        (10000, 3800, 38),
        (250, 2000, 1),
    ],
)
def test_fees_round_half_up(amount: int, rate: int, fee: int) -> None:
    assert books.fee_of(amount, rate) == fee


@given(st.data())
def test_refunds_that_add_up_return_the_whole_fee(data: st.DataObject) -> None:
    amount = data.draw(st.integers(min_value=1, max_value=10**9))
    fee = data.draw(st.integers(min_value=0, max_value=amount))
    before = returned = 0
    while before < amount:
        part = data.draw(st.integers(min_value=max(1, amount // 5), max_value=max(1, amount)))
        part = min(part, amount - before)
        back = books.returned_fee(
            fee_fen=fee, amount_fen=amount, before_fen=before, refund_fen=part
        )
        assert 0 <= back <= fee
        before, returned = before + part, returned + back
    assert returned == fee


def test_paying_is_once_and_for_all(wechat_merchant: Merchant) -> None:
    order = make_order(wechat_merchant)
    paid = books.pay_order(order=order, payer=DEMO, now=NOW)
    assert (paid.state, paid.paid_at, paid.fee_fen) == (OrderState.PAID, NOW, 15)
    assert paid.payer_id == DEMO.openid(wechat_merchant.app_id)
    with pytest.raises(books.NotPayable, match="paid"):
        books.pay_order(order=order, payer=DEMO, now=NOW)
    with pytest.raises(books.NotClosable, match="paid"):
        books.close_order(order=order, now=NOW)


def test_a_closed_order_cannot_be_paid(wechat_merchant: Merchant) -> None:
    order = make_order(wechat_merchant)
    books.close_order(order=order, now=NOW)
    with pytest.raises(books.NotPayable, match="closed"):
        books.pay_order(order=order, payer=DEMO, now=NOW)


def test_an_order_expires_by_itself_and_is_then_not_payable(wechat_merchant: Merchant) -> None:
    order = make_order(wechat_merchant)
    assert books.expire_due(now=NOW + timedelta(hours=2) - timedelta(seconds=1)) == 0
    assert books.expire_due(now=NOW + timedelta(hours=2)) == 1
    order.refresh_from_db()
    assert order.state == OrderState.CLOSED
    assert order.closed_at == NOW + timedelta(hours=2)
    with pytest.raises(books.NotPayable, match="expired"):
        books.pay_order(order=order, payer=DEMO, now=NOW + timedelta(hours=3))


def test_expiry_is_noticed_without_the_loop(wechat_merchant: Merchant) -> None:
    order = make_order(wechat_merchant)
    with pytest.raises(books.NotPayable, match="expired"):
        books.pay_order(order=order, payer=DEMO, now=NOW + timedelta(hours=2))


def test_a_wallet_without_money_leaves_the_order_unpaid(wechat_merchant: Merchant) -> None:
    order = make_order(wechat_merchant)
    with pytest.raises(books.NotPayable, match="balance"):
        books.pay_order(order=order, payer=PAYERS["poor"], now=NOW)
    order.refresh_from_db()
    assert order.state == OrderState.WAITING
    assert books.abandon_order(order=order, now=NOW).state == OrderState.WAITING


def test_numbers_are_unique_within_a_merchant(wechat_merchant: Merchant) -> None:
    make_order(wechat_merchant)
    with pytest.raises(books.OrderNumberUsed):
        make_order(wechat_merchant)
    assert Order.objects.count() == 1


def test_refunds_never_exceed_the_payment(wechat_merchant: Merchant) -> None:
    order = make_order(wechat_merchant)
    with pytest.raises(books.NotRefundable, match="unpaid"):
        books.create_refund(order=order, out_refund_no="R1", amount_fen=1, now=NOW)
    books.pay_order(order=order, payer=DEMO, now=NOW)
    books.create_refund(order=order, out_refund_no="R1", amount_fen=1000, now=NOW)
    with pytest.raises(books.NotRefundable, match="over"):
        books.create_refund(order=order, out_refund_no="R2", amount_fen=1501, now=NOW)
    with pytest.raises(books.NotRefundable, match="number_used"):
        books.create_refund(order=order, out_refund_no="R1", amount_fen=1, now=NOW)
    books.create_refund(order=order, out_refund_no="R3", amount_fen=1500, now=NOW)
    order.refresh_from_db()
    assert (order.refunded_fen, order.refundable_fen) == (2500, 0)
    assert sorted(Refund.objects.values_list("amount_fen", "fee_fen")) == [(1000, 6), (1500, 9)]


def test_a_refund_finishes_at_its_time(wechat_merchant: Merchant) -> None:
    order = make_order(wechat_merchant)
    books.pay_order(order=order, payer=DEMO, now=NOW)
    refund = books.create_refund(order=order, out_refund_no="R1", amount_fen=1, now=NOW)
    assert refund.state == RefundState.PROCESSING
    assert books.settle_due(now=NOW + timedelta(seconds=1.9)) == 0
    assert books.settle_due(now=NOW + timedelta(seconds=60)) == 1
    refund.refresh_from_db()
    assert refund.state == RefundState.SUCCESS
    assert refund.finished_at == NOW + timedelta(seconds=2)
    assert books.settle_due(now=NOW + timedelta(seconds=60)) == 0


def test_a_closed_refund_gives_the_amount_free_again(wechat_merchant: Merchant) -> None:
    order = make_order(wechat_merchant)
    books.pay_order(order=order, payer=DEMO, now=NOW)
    faults.add_fault(key="refund_closed", uses=1)
    books.create_refund(order=order, out_refund_no="R1", amount_fen=2500, now=NOW)
    books.settle_due(now=NOW + timedelta(seconds=5))
    again = books.create_refund(
        order=order, out_refund_no="R2", amount_fen=2500, now=NOW + timedelta(seconds=6)
    )
    assert again.fee_fen == 15


def test_totals_are_of_beijing_days(wechat_merchant: Merchant) -> None:
    midnight = datetime(2026, 5, 1, 16, 0, tzinfo=UTC)
    for number, at in (("P00001", midnight - timedelta(seconds=1)), ("P00002", midnight)):
        books.add_history(
            merchant=wechat_merchant,
            payments=[
                books.PastPayment(
                    out_trade_no=number,
                    trade_no=f"T{number}",
                    product="jsapi",
                    amount_fen=1000,
                    paid_at=at,
                )
            ],
            refunds=[
                books.PastRefund(
                    out_trade_no=number,
                    out_refund_no=f"R{number}",
                    refund_no=f"F{number}",
                    amount_fen=500,
                    accepted_at=at,
                    finished_at=None,
                )
            ],
        )
    first = books.totals_of(wechat_merchant, day=midnight.date())
    assert first == books.BookTotals(
        paid_count=1, paid_fen=1000, refunded_count=1, refunded_fen=500, fee_fen=3
    )
    assert books.totals_of(wechat_merchant).paid_fen == 2000


def test_history_may_name_the_device_that_took_it(wechat_merchant: Merchant) -> None:
    books.add_history(
        merchant=wechat_merchant,
        payments=[
            books.PastPayment(
                out_trade_no="P00001",
                trade_no="T1",
                product="barcode",
                amount_fen=100,
                paid_at=NOW,
                store_id="HB",
                terminal_id="HB-POS-01",
            )
        ],
        refunds=[],
    )
    order = Order.objects.get(merchant=wechat_merchant)
    assert order.extra == {"history": True, "store_id": "HB", "terminal_id": "HB-POS-01"}


def test_history_is_all_or_nothing(wechat_merchant: Merchant) -> None:
    payment = books.PastPayment(
        out_trade_no="P00001", trade_no="T1", product="jsapi", amount_fen=100, paid_at=NOW
    )
    too_much = books.PastRefund(
        out_trade_no="P00001",
        out_refund_no="R1",
        refund_no="F1",
        amount_fen=101,
        accepted_at=NOW,
        finished_at=NOW,
    )
    with pytest.raises(books.BadHistory):
        books.add_history(merchant=wechat_merchant, payments=[payment], refunds=[too_much])
    assert Order.objects.count() == 0
