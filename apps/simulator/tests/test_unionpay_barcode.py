"""Paying by the code on the payer's phone, and undoing it."""

from __future__ import annotations

import pytest

from apps.simulator import books, clock, delivery, faults, notifications, paycodes
from apps.simulator.models import Notice, Order, OrderState
from apps.simulator.payers import PAYERS
from apps.simulator.tests.receiver import Receiver
from apps.simulator.tests.unionpay_client import BACK, UnionClient

pytestmark = pytest.mark.django_db
NUMBER = "P2026000001"


def code(behaviour: str = paycodes.PAYS, payer: str = "hua") -> str:
    """A code on the payer's phone, good for a minute."""
    return paycodes.issue(
        wallet="unionpay", payer_key=payer, behaviour=behaviour, now=clock.now()
    ).digits


def scan(union: UnionClient, digits: str, order_id: str = NUMBER, **more: str) -> dict[str, str]:
    """The cashier scans it; the message is kept in ``union.sent``."""
    union.sent = union.transaction("01", "06", order_id, 1200, qrNo=digits, **more)
    return union.call(BACK, union.sent)


def reverse(union: UnionClient, order_id: str = NUMBER, txn_time: str = "") -> dict[str, str]:
    """99/01, with the original's number and time and no amount."""
    time = txn_time or union.sent["txnTime"]
    fields = union.base("99", "01", orderId=order_id, channelType="08", txnTime=time)
    return union.call(BACK, fields)


def test_paid_at_once(union: UnionClient, receiver: Receiver) -> None:
    digits = code()
    answer = scan(union, digits, termId="T0000001", backUrl=receiver.url)
    assert answer["respCode"] == "00"
    order = Order.objects.get()
    assert (order.state, order.payer_id) == (OrderState.PAID, "621626*********2222")
    assert answer["queryId"] == order.trade_no
    assert digits not in str(order.request)
    told = union.query(NUMBER, union.sent["txnTime"])
    assert (told["origRespCode"], told["txnSubType"]) == ("00", "06")
    notifications.deliver_due(now=clock.now())
    assert union.open_post(receiver.posts[0][1])["txnSubType"] == "06"


def test_a_password_first(union: UnionClient) -> None:
    digits = code(paycodes.PASSWORD)
    answer = scan(union, digits)
    assert answer["respCode"] == "05"
    sent = union.sent
    assert union.query(NUMBER, sent["txnTime"])["origRespCode"] == "05"
    paycodes.confirm(digits=digits, now=clock.now())
    assert union.query(NUMBER, sent["txnTime"])["origRespCode"] == "00"


def test_a_password_and_then_no_money(union: UnionClient) -> None:
    digits = code(paycodes.PASSWORD, payer="poor")
    scan(union, digits)
    with pytest.raises(books.NotPayable):
        paycodes.confirm(digits=digits, now=clock.now())
    assert union.query(NUMBER, union.sent["txnTime"])["origRespCode"] == "64"
    assert Order.objects.get().state == OrderState.CLOSED


@pytest.mark.parametrize(
    ("behaviour", "payer", "answer"), [("poor", "hua", "64"), ("pays", "poor", "64")]
)
def test_no_money_is_the_end(union: UnionClient, behaviour: str, payer: str, answer: str) -> None:
    assert scan(union, code(behaviour, payer=payer))["respCode"] == answer
    told = union.query(NUMBER, union.sent["txnTime"])
    assert (told["respCode"], told["origRespCode"]) == ("00", answer)
    assert Order.objects.get().state == OrderState.CLOSED
    assert Notice.objects.count() == 0


def test_codes_that_cannot_be_used(union: UnionClient) -> None:
    assert scan(union, "6299999999999999999", "P2026000001")["respCode"] == "01"
    digits = code()
    assert scan(union, digits, "P2026000002")["respCode"] == "00"
    assert scan(union, digits, "P2026000003")["respCode"] == "01"
    late = code()
    clock.set_clock(advance_seconds=61)
    assert scan(union, late, "P2026000004")["respCode"] == "01"
    other = paycodes.issue(wallet="alipay", now=clock.now()).digits
    assert scan(union, other, "P2026000005")["respCode"] == "01"
    assert scan(union, "62x", "P2026000006")["respCode"] == "10"
    assert scan(union, "", "P2026000006")["respCode"] == "13"
    told = union.query(
        "P2026000003", Order.objects.get(out_trade_no="P2026000003").request["txnTime"]
    )
    assert (told["respCode"], told["origRespCode"]) == ("00", "01")


@pytest.mark.parametrize("behaviour", ["pays", "password"])
def test_reversed_whatever_became_of_it(union: UnionClient, behaviour: str) -> None:
    digits = code(behaviour)
    faults.add_fault(key="lost_after_commit", platform="unionpay", uses=1)
    union.sent = union.transaction("01", "06", NUMBER, 1200, qrNo=digits)
    assert union.post(BACK, union.sign(union.sent)).status_code == 504
    assert [reverse(union)["respCode"] for _ in range(2)] == ["00", "00"]
    order = Order.objects.get()
    assert (order.state, order.refunded_fen) == (OrderState.CLOSED, 0)
    told = union.query(NUMBER, union.sent["txnTime"])
    assert (told["respCode"], told["origRespCode"]) == ("00", "01")
    assert books.totals_of(order.merchant).paid_fen == 0
    with pytest.raises(books.NotPayable):
        books.pay_order(order=order, payer=PAYERS["hua"], now=clock.now())
    assert union.give_back("R2026000001", order.trade_no, 1200)["respCode"] == "35"


def test_what_never_came_cannot_be_reversed(union: UnionClient) -> None:
    assert reverse(union, NUMBER, "20260101000000")["respCode"] == "34"
    scan(union, code())
    assert reverse(union, NUMBER, "20260101000000")["respCode"] == "34"
    assert Order.objects.get().state == OrderState.PAID


def test_only_scanned_and_unsettled_payments_are_reversed(union: UnionClient) -> None:
    union.apply_qr("P2026000009")
    assert reverse(union, "P2026000009")["respCode"] == "35"
    scan(union, code())
    sent = union.sent
    order = Order.objects.get(out_trade_no=NUMBER)
    union.give_back("R2026000001", order.trade_no, 1)
    assert reverse(union, NUMBER, sent["txnTime"])["respCode"] == "35"
    scan(union, code(), "P2026000002")
    clock.set_clock(advance_seconds=86400)
    delivery.tick(now=clock.now())
    assert reverse(union, "P2026000002")["respCode"] == "35"
    assert Order.objects.get(out_trade_no="P2026000002").state == OrderState.PAID
