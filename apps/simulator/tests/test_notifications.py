"""Notices: contents, schedule, faults."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature

from apps.simulator import books, clock, delivery, faults, notifications
from apps.simulator.models import Notice, NoticeState, Order
from apps.simulator.payers import PAYERS
from apps.simulator.tests.receiver import Receiver
from apps.simulator.tests.wechat_client import WechatClient
from apps.simulator.wechatpay import notices

DEMO = PAYERS["demo"]


def paid_order(wechat: WechatClient, receiver: Receiver, number: str = "P00001") -> Order:
    code = wechat.native(number, notify_url=receiver.url)
    order = books.order_by_code(platform="wechatpay", code=code)
    assert order is not None
    return books.pay_order(order=order, payer=DEMO, now=clock.now())


def deliver(seconds: float = 0) -> int:
    """Send what is due so many seconds from now."""
    now = clock.now() + timedelta(seconds=seconds)
    delivery.tick(now=now)
    return notifications.deliver_due(now=now)


def opened(wechat: WechatClient, post: tuple[dict[str, str], bytes]) -> dict[str, Any]:
    """Verify and decrypt one arrived notice; the envelope with the plaintext as its resource."""
    headers, body = post
    wechat.verify(headers, body)
    envelope: dict[str, Any] = json.loads(body)
    assert envelope["resource"]["algorithm"] == "AEAD_AES_256_GCM"
    envelope["resource"] = wechat.open_resource(envelope["resource"])
    return envelope


def test_a_payments_notice(wechat: WechatClient, receiver: Receiver) -> None:
    paid_order(wechat, receiver)
    assert deliver() == 1
    envelope = opened(wechat, receiver.posts[0])
    assert re.fullmatch(r"EV-\w+", envelope["id"])
    assert envelope["event_type"] == "TRANSACTION.SUCCESS"
    assert envelope["resource_type"] == "encrypt-resource"
    assert envelope["resource"] == wechat.state("P00001")
    notice = Notice.objects.get()
    assert (notice.state, notice.attempts, notice.last_status) == (NoticeState.DELIVERED, 1, 204)
    assert deliver(86400) == 0


def test_a_refunds_notice_goes_to_its_own_address(wechat: WechatClient, receiver: Receiver) -> None:
    paid_order(wechat, receiver)
    deliver()
    wechat.refund("P00001", "R1", 1000, notify_url=receiver.url)
    wechat.refund("P00001", "R2", 100)  # without an address: none
    assert deliver() == 0
    assert deliver(3) == 1
    envelope = opened(wechat, receiver.posts[1])
    assert envelope["event_type"] == "REFUND.SUCCESS"
    resource = envelope["resource"]
    assert (resource["out_refund_no"], resource["refund_status"]) == ("R1", "SUCCESS")
    assert "status" not in resource
    assert resource["amount"]["refund"] == 1000


def test_closing_is_not_told(wechat: WechatClient, receiver: Receiver) -> None:
    wechat.native("P00001", notify_url=receiver.url)
    books.close_order(order=Order.objects.get(), now=clock.now())
    assert Notice.objects.count() == 0


def test_without_an_apiv3_key_nothing_is_sent(wechat: WechatClient, receiver: Receiver) -> None:
    merchant = wechat.merchant
    merchant.config = {**merchant.config, "api_v3_key": ""}
    merchant.save()
    paid_order(wechat, receiver)
    assert Notice.objects.count() == 0


def test_the_whole_schedule(wechat: WechatClient, receiver: Receiver) -> None:
    receiver.answers = [(500, b'{"code":"FAIL"}')] * 16
    paid_order(wechat, receiver)
    at = clock.now()
    gaps = [
        0,
        15,
        15,
        30,
        180,
        600,
        1200,
        1800,
        1800,
        1800,
        3600,
        10800,
        10800,
        10800,
        21600,
        21600,
    ]
    assert tuple(gaps[1:]) == notices.RETRY_SECONDS
    for number, gap in enumerate(gaps, start=1):
        if gap:
            assert notifications.deliver_due(now=at + timedelta(seconds=gap - 1)) == 0
        at += timedelta(seconds=gap)
        assert notifications.deliver_due(now=at) == 1
        assert Notice.objects.get().attempts == number
    notice = Notice.objects.get()
    assert (notice.state, notice.next_at, len(notice.history)) == (NoticeState.GIVEN_UP, None, 16)
    signatures = {headers["Wechatpay-Signature"] for headers, _ in receiver.posts}
    assert len(signatures) == 16
    assert len({json.loads(body)["id"] for _, body in receiver.posts}) == 1


def test_the_loop_compresses_time(wechat: WechatClient, receiver: Receiver) -> None:
    clock.set_clock(factor=1000)
    receiver.answers = [(500, b"")]
    paid_order(wechat, receiver)
    assert notifications.deliver_due(now=clock.now()) == 1
    before = clock.real_now()
    while notifications.deliver_due(now=clock.now()) == 0:
        assert clock.real_now() - before < timedelta(seconds=5)
    assert Notice.objects.get().state == NoticeState.DELIVERED


@pytest.mark.parametrize(
    ("status", "body", "accepted"),
    [
        (200, b"", True),
        (204, b"", True),
        (200, b'{"code":"SUCCESS"}', True),
        (200, b'{"code":"FAIL","message":"x"}', False),
        (202, b"", False),
        (302, b"", False),
        (401, b"", False),
        (500, b'{"code":"SUCCESS"}', False),
    ],
)
def test_what_ends_the_repeats(status: int, body: bytes, accepted: bool) -> None:
    assert notices.accepted(status=status, body=body) is accepted


def test_an_unreachable_server_is_tried_again(wechat: WechatClient) -> None:
    code = wechat.native("P00001", notify_url="http://127.0.0.1:9/notify")
    order = books.order_by_code(platform="wechatpay", code=code)
    assert order is not None
    books.pay_order(order=order, payer=DEMO, now=clock.now())
    assert deliver() == 1
    notice = Notice.objects.get()
    assert (notice.state, notice.last_status) == (NoticeState.PENDING, None)
    assert "ConnectError" in notice.last_body


class TestFaults:
    def test_off(self, wechat: WechatClient, receiver: Receiver) -> None:
        faults.add_fault(key="notify_off")
        paid_order(wechat, receiver)
        assert Notice.objects.count() == 0
        assert wechat.state("P00001")["trade_state"] == "SUCCESS"

    def test_lost(self, wechat: WechatClient, receiver: Receiver) -> None:
        faults.add_fault(key="notify_lost", uses=1)
        paid_order(wechat, receiver)
        assert deliver(86400) == 0
        assert Notice.objects.get().state == NoticeState.DROPPED
        assert receiver.posts == []

    def test_twice(self, wechat: WechatClient, receiver: Receiver) -> None:
        faults.add_fault(key="notify_twice", uses=1)
        paid_order(wechat, receiver)
        deliver()
        first, second = (opened(wechat, post) for post in receiver.posts)
        assert first == second
        assert Notice.objects.get().attempts == 1

    def test_late(self, wechat: WechatClient, receiver: Receiver) -> None:
        faults.add_fault(key="notify_late", value={"seconds": 300}, uses=1)
        paid_order(wechat, receiver)
        assert deliver(299) == 0
        assert deliver(301) == 1

    def test_early(self, wechat: WechatClient, receiver: Receiver) -> None:
        order = paid_order(wechat, receiver)
        deliver()
        faults.add_fault(key="notify_early", uses=1)
        seen: list[int] = []
        receiver.on_post = lambda: seen.append(len(receiver.posts))
        response = wechat.refund("P00001", "R1", 1000, notify_url=receiver.url)
        assert seen == [2]
        assert response.json()["status"] == "SUCCESS"
        assert opened(wechat, receiver.posts[1])["event_type"] == "REFUND.SUCCESS"
        assert order.refunds.get().finished_at is not None

    def test_early_payment(self, wechat: WechatClient, receiver: Receiver) -> None:
        faults.add_fault(key="notify_early", uses=1)
        paid_order(wechat, receiver)
        assert len(receiver.posts) == 1

    def test_forged(self, wechat: WechatClient, receiver: Receiver) -> None:
        faults.add_fault(key="notify_forged", uses=1)
        receiver.answers = [(401, b"")]
        paid_order(wechat, receiver)
        deliver()
        headers, body = receiver.posts[0]
        with pytest.raises(InvalidSignature):
            wechat.verify(headers, body)
        assert Notice.objects.get().state == NoticeState.PENDING

    def test_signtest(self, wechat: WechatClient, receiver: Receiver) -> None:
        paid_order(wechat, receiver)
        faults.add_fault(key="signtest", uses=1)
        receiver.answers = [(401, b"")]
        deliver()
        deliver(16)
        probe, fair = receiver.posts
        assert probe[0]["Wechatpay-Signature"].startswith("WECHATPAY/SIGNTEST/")
        opened(wechat, fair)

    def test_out_of_order(self, wechat: WechatClient, receiver: Receiver) -> None:
        faults.add_fault(key="notify_out_of_order", uses=1)
        paid_order(wechat, receiver)
        assert deliver() == 0
        wechat.refund("P00001", "R1", 1000, notify_url=receiver.url)
        assert deliver(3) == 1
        assert deliver(3) == 1
        kinds = [opened(wechat, post)["event_type"] for post in receiver.posts]
        assert kinds == ["REFUND.SUCCESS", "TRANSACTION.SUCCESS"]


def test_a_notice_is_claimed_by_one_sender(wechat: WechatClient, receiver: Receiver) -> None:
    paid_order(wechat, receiver)
    now = clock.now()
    (notice_id,) = notifications.due_ids(now=now)
    # While the first attempt waits for its answer, a second sender finds nothing.
    seen: list[bool] = []
    receiver.on_post = lambda: seen.append(True)
    assert notifications.attempt(notice_id=notice_id, now=now)
    assert not notifications.attempt(notice_id=notice_id, now=now)
    assert len(seen) == 1
