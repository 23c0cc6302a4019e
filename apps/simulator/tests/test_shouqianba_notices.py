"""Callbacks: what they say, their signature, their repeats."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from cryptography.exceptions import InvalidSignature

from apps.simulator import books, clock, faults, notifications
from apps.simulator.models import Notice, NoticeState, Order
from apps.simulator.payers import PAYERS
from apps.simulator.shouqianba import notices
from apps.simulator.tests.receiver import Receiver
from apps.simulator.tests.shouqianba_client import Fields, ShouClient
from apps.simulator.tests.test_shouqianba_payments import code, wait

pytestmark = pytest.mark.django_db
DONE = (200, b"success")


def paid(shou: ShouClient, receiver: Receiver, number: str = "P1") -> Order:
    """A paid order whose callbacks go to the receiver, which says success once."""
    receiver.answers.append(DONE)
    shou.precreate(number, notify_url=receiver.url, reflect="桌 7")
    order = Order.objects.get(out_trade_no=number)
    return books.pay_order(order=order, payer=PAYERS["demo"], now=clock.now())


def deliver() -> int:
    """Send what is due."""
    return notifications.deliver_due(now=clock.now())


def told(shou: ShouClient, receiver: Receiver) -> list[Fields]:
    """All callbacks so far, verified."""
    return [shou.verified(headers, body) for headers, body in receiver.posts]


def test_a_payment_is_told_as_a_query_would(shou: ShouClient, receiver: Receiver) -> None:
    paid(shou, receiver)
    assert deliver() == 1
    (body,) = told(shou, receiver)
    assert body == shou.query("P1")
    assert (body["order_status"], body["reflect"]) == ("PAID", "桌 7")
    headers, raw = receiver.posts[0]
    assert headers["Content-Type"].startswith("application/json")
    assert "桌 7".encode() in raw
    assert Notice.objects.get().state == NoticeState.DELIVERED


def test_refunds_and_cancellations_are_told(shou: ShouClient, receiver: Receiver) -> None:
    receiver.answers = [DONE] * 9
    paid(shou, receiver)
    shou.refund("P1", "R1", "1000")
    shou.refund("P1", "R2", "1500")
    paid(shou, receiver, "P2")
    shou.cancel("P2")
    shou.precreate("P3", notify_url=receiver.url)
    shou.cancel("P3")
    shou.precreate("P4", notify_url=receiver.url)
    wait(241)
    deliver()
    bodies = told(shou, receiver)
    assert sorted(
        (body["client_sn"], body["order_status"], body["client_tsn"]) for body in bodies
    ) == [
        ("P1", "PAID", "P1"),
        ("P1", "PARTIAL_REFUNDED", "P1-R1"),
        ("P1", "REFUNDED", "P1-R2"),
        ("P2", "CANCELED", "P2"),
        ("P2", "PAID", "P2"),
        ("P3", "CANCELED", "P3"),
        ("P4", "PAY_CANCELED", "P4"),
    ]


def test_failures_of_refunds_and_orders_without_an_address_are_silent(shou: ShouClient) -> None:
    shou.precreate("P1", notify_url="")
    shou.precreate("P2", notify_url="www.shouqianba.com")
    for order in Order.objects.all():
        books.pay_order(order=order, payer=PAYERS["demo"], now=clock.now())
    faults.add_fault(key="refund_closed", uses=1)
    shou.refund("P2", "R1", "1")
    assert Notice.objects.count() == 0


def test_the_schedule(shou: ShouClient, receiver: Receiver) -> None:
    paid(shou, receiver)
    receiver.answers = [(200, b"SUCCESS"), (200, b"success\n"), (500, b"success"), (204, b"")]
    receiver.answers.append((200, b"ok"))
    at = clock.now()
    assert notices.RETRY_SECONDS == (1, 5, 30, 600)
    for gap in (0, *notices.RETRY_SECONDS):
        if gap:
            assert notifications.deliver_due(now=at + timedelta(seconds=gap - 0.5)) == 0
        at += timedelta(seconds=gap)
        assert notifications.deliver_due(now=at) == 1
    assert Notice.objects.get().state == NoticeState.GIVEN_UP
    assert len({body for _, body in receiver.posts}) == 1
    assert len(told(shou, receiver)) == 5


class TestFaults:
    @pytest.mark.parametrize("key", ["notify_forged", "wrong_signature"])
    def test_a_strangers_key(self, shou: ShouClient, receiver: Receiver, key: str) -> None:
        faults.add_fault(key=key, uses=1)
        paid(shou, receiver)
        deliver()
        with pytest.raises(InvalidSignature):
            told(shou, receiver)

    def test_off_lost_and_twice(self, shou: ShouClient, receiver: Receiver) -> None:
        faults.add_fault(key="notify_off", uses=1)
        paid(shou, receiver, "P1")
        faults.add_fault(key="notify_lost", uses=1)
        paid(shou, receiver, "P2")
        assert deliver() == 0
        faults.add_fault(key="notify_twice", uses=1)
        paid(shou, receiver, "P3")
        deliver()
        assert [body["client_sn"] for body in told(shou, receiver)] == ["P3", "P3"]

    def test_early(self, shou: ShouClient, receiver: Receiver) -> None:
        faults.add_fault(key="notify_early")
        receiver.answers = [DONE]
        biz = shou.pay("P1", code(), notify_url=receiver.url)
        assert biz["result_code"] == "PAY_SUCCESS"
        assert [body["order_status"] for body in told(shou, receiver)] == ["PAID"]

    def test_an_unclear_end_is_told_when_it_is_known(
        self, shou: ShouClient, receiver: Receiver
    ) -> None:
        receiver.answers = [DONE]
        faults.add_fault(key="pay_error", uses=1, value={"paid": True, "seconds": 60})
        shou.pay("P1", code(), notify_url=receiver.url)
        assert deliver() == 0
        wait(61)
        assert deliver() == 1
        assert json.loads(receiver.posts[0][1])["order_status"] == "PAID"

    def test_cancelled_before_it_was_known(self, shou: ShouClient, receiver: Receiver) -> None:
        receiver.answers = [DONE, DONE]
        faults.add_fault(key="pay_error", uses=1, value={"paid": True, "seconds": 600})
        shou.pay("P1", code(), notify_url=receiver.url)
        shou.cancel("P1")
        assert deliver() == 2
        assert {body["order_status"] for body in told(shou, receiver)} == {"PAID", "CANCELED"}
