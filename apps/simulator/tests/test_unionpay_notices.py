"""UnionPay's notices: what they say, when they come, who forges them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography.exceptions import InvalidSignature

from apps.simulator import books, clock, delivery, faults, notifications
from apps.simulator.models import Notice, NoticeState, Order
from apps.simulator.payers import PAYERS
from apps.simulator.tests.receiver import Receiver
from apps.simulator.tests.unionpay_client import UnionClient

pytestmark = pytest.mark.django_db
NUMBER = "P2026000001"


@pytest.fixture(autouse=True)
def content(receiver: Receiver) -> None:
    """A merchant's server that takes what comes: UnionPay wants 200, not 204."""
    receiver.answers = [(200, b"ok")] * 9


def pay() -> Order:
    return books.pay_order(order=Order.objects.get(), payer=PAYERS["demo"], now=clock.now())


def paid(union: UnionClient, receiver: Receiver) -> Order:
    union.apply_qr(backUrl=receiver.url, reqReserved="桌号 8")
    return pay()


def deliver(seconds: float = 0) -> int:
    """Send what is due so many seconds from now."""
    now = clock.now() + timedelta(seconds=seconds)
    delivery.tick(now=now)
    return notifications.deliver_due(now=now)


def test_a_payments_notice(union: UnionClient, receiver: Receiver) -> None:
    order = paid(union, receiver)
    assert deliver() == 1
    headers, body = receiver.posts[0]
    assert headers["Content-Type"] == "application/x-www-form-urlencoded;charset=UTF-8"
    told = union.open_post(body)
    assert (told["respCode"], told["respMsg"]) == ("00", "成功[0000000]")
    for name in ("merId", "orderId", "txnTime", "txnAmt", "txnType", "txnSubType", "bizType"):
        assert told[name] == union.sent[name], name
    assert told["queryId"] == order.trade_no
    assert told["accNo"] == "621626*********0018"
    assert (told["currencyCode"], told["settleCurrencyCode"]) == ("156", "156")
    assert told["reqReserved"] == "桌号 8"
    assert "origRespCode" not in told
    assert Notice.objects.get().state == NoticeState.DELIVERED


def test_refunds_and_cancellations_are_told_when_done(
    union: UnionClient, receiver: Receiver
) -> None:
    order = paid(union, receiver)
    deliver()
    union.give_back("R2026000001", order.trade_no, 100, backUrl=receiver.url)
    assert deliver() == 0
    assert deliver(3) == 1
    told = union.open_post(receiver.posts[1][1])
    assert (told["txnType"], told["orderId"], told["txnAmt"]) == ("04", "R2026000001", "100")
    assert told["origQryId"] == order.trade_no
    faults.add_fault(key="refund_closed", platform="unionpay", uses=1)
    union.give_back("R2026000002", order.trade_no, 100, backUrl=receiver.url)
    assert deliver(6) == 0


def test_what_failed_or_ran_out_is_silent(union: UnionClient, receiver: Receiver) -> None:
    union.apply_qr(backUrl=receiver.url)
    with pytest.raises(books.NotPayable):
        books.pay_order(order=Order.objects.get(), payer=PAYERS["poor"], now=clock.now())
    assert deliver(3600) == 0
    assert Notice.objects.count() == 0


def test_five_sends_and_no_more(union: UnionClient, receiver: Receiver) -> None:
    receiver.answers = [(500, b"")] * 9
    paid(union, receiver)
    at = [deliver(seconds) for seconds in (0, 0.5, 59, 61, 180, 182, 421, 425, 90000)]
    assert at == [1, 1, 0, 1, 0, 1, 0, 1, 0]
    assert len({body for _, body in receiver.posts}) == 1
    assert Notice.objects.get().state == NoticeState.GIVEN_UP


@pytest.mark.parametrize(("status", "ends"), [(200, True), (302, True), (204, False), (500, False)])
def test_200_or_302_whatever_the_body(
    union: UnionClient, receiver: Receiver, status: int, ends: bool
) -> None:
    receiver.answers = [(status, b"anything")]
    paid(union, receiver)
    deliver()
    assert (Notice.objects.get().state == NoticeState.DELIVERED) is ends


def test_a_forger_uses_the_platforms_name(union: UnionClient, receiver: Receiver) -> None:
    faults.add_fault(key="notify_forged", platform="unionpay", uses=1)
    paid(union, receiver)
    deliver()
    with pytest.raises(InvalidSignature):  # the chain: its own signature is right
        union.open_post(receiver.posts[0][1])


@pytest.mark.parametrize(
    ("key", "reason"), [("foreign_certificate", "owner"), ("expired_certificate", "dates")]
)
def test_notices_with_a_wrong_certificate(
    union: UnionClient, receiver: Receiver, key: str, reason: str
) -> None:
    paid(union, receiver)
    faults.add_fault(key=key, platform="unionpay", uses=1, value={"path": "notice"})
    deliver()
    with pytest.raises(AssertionError, match=reason):
        union.open_post(receiver.posts[0][1])


def test_wrong_signatures_are_for_answers_only(union: UnionClient, receiver: Receiver) -> None:
    paid(union, receiver)
    faults.add_fault(key="wrong_signature", platform="unionpay", uses=1)
    deliver()
    assert union.open_post(receiver.posts[0][1])["orderId"] == NUMBER


def test_the_general_faults(union: UnionClient, receiver: Receiver) -> None:
    faults.add_fault(key="success_with_defect", platform="unionpay", uses=1)
    faults.add_fault(key="notify_twice", platform="unionpay", uses=1)
    faults.add_fault(key="notify_late", platform="unionpay", uses=1, value={"seconds": 60})
    paid(union, receiver)
    assert (deliver(), deliver(61)) == (0, 1)
    assert [union.open_post(body)["respCode"] for _, body in receiver.posts] == ["A6", "A6"]


def test_an_address_with_a_query_keeps_it(union: UnionClient, receiver: Receiver) -> None:
    union.apply_qr(backUrl=f"{receiver.url}?shop=1")
    pay()
    deliver()
    assert union.open_post(receiver.posts[0][1])["orderId"] == NUMBER
