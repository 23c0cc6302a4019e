"""Notices that nobody should believe: forged on demand or by a fault, replayed, repeated."""

from __future__ import annotations

import base64
import hashlib
import json
import xml.etree.ElementTree as ET
from datetime import timedelta

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from apps.simulator import books, clock, delivery, faults, notifications
from apps.simulator.models import Notice, Order
from apps.simulator.payers import DEFAULT_PAYER
from apps.simulator.tests.receiver import Receiver
from apps.simulator.tests.test_control import call
from apps.simulator.tests.wechat_client import WechatClient


def _paid(wechat: WechatClient, receiver: Receiver, number: str) -> Order:
    code = wechat.native(number, notify_url=receiver.url)
    order = books.order_by_code(platform="wechatpay", code=code)
    assert order is not None
    return books.pay_order(order=order, payer=DEFAULT_PAYER, now=clock.now())


def _deliver(seconds: float = 0) -> int:
    now = clock.now() + timedelta(seconds=seconds)
    delivery.tick(now=now)
    return notifications.deliver_due(now=now)


def _claimed(wechat: WechatClient, post: tuple[dict[str, str], bytes]) -> dict[str, object]:
    """What a forged notice says; it must not verify, and opens all the same."""
    headers, body = post
    with pytest.raises(InvalidSignature):
        wechat.verify(headers, body)
    envelope = json.loads(body)
    return wechat.open_resource(envelope["resource"])


class TestForging:
    def test_of_an_order_that_nobody_paid(self, wechat: WechatClient, receiver: Receiver) -> None:
        wechat.native("P00001", notify_url=receiver.url)
        named = {"platform": "wechatpay", "merchant_no": wechat.merchant.merchant_no}
        receiver.answers = [(401, b"")]
        body = call("POST", "notices/forge", {**named, "out_trade_no": "P00001"}).json()
        assert (body["forged"], body["last_status"], body["state"]) == (True, 401, "GIVEN_UP")
        claim = _claimed(wechat, receiver.posts[0])
        assert (claim["trade_state"], claim["out_trade_no"]) == ("SUCCESS", "P00001")
        assert wechat.state("P00001")["trade_state"] == "NOTPAY"
        # A forger has no schedule.
        assert _deliver(86400) == 0

    def test_with_another_amount(self, wechat: WechatClient, receiver: Receiver) -> None:
        _paid(wechat, receiver, "P00001")
        named = {"platform": "wechatpay", "merchant_no": wechat.merchant.merchant_no}
        asked = {**named, "out_trade_no": "P00001", "amount_fen": 1}
        call("POST", "notices/forge", asked)
        amount = _claimed(wechat, receiver.posts[0])["amount"]
        assert isinstance(amount, dict)
        assert amount["total"] == 1
        assert Order.objects.get().amount_fen == 2500
        assert call("POST", "notices/forge", {**asked, "amount_fen": 0}).status_code == 400
        assert call("POST", "notices/forge", {**asked, "out_trade_no": "P9"}).status_code == 404

    def test_claimed_by_itself(self, wechat: WechatClient, receiver: Receiver) -> None:
        faults.add_fault(key="notify_claimed", value={"seconds": 5}, uses=1)
        wechat.native("P00001", notify_url=receiver.url)
        wechat.native("P00002", notify_url=receiver.url)
        assert _deliver() == 0
        assert _deliver(6) == 1
        assert _claimed(wechat, receiver.posts[0])["out_trade_no"] == "P00001"


class TestRepeating:
    def test_a_replay_is_the_same_bytes(self, wechat: WechatClient, receiver: Receiver) -> None:
        _paid(wechat, receiver, "P00001")
        notice = Notice.objects.get()
        assert call("POST", "notices/replay", {"id": notice.pk}).status_code == 409
        _deliver()
        answer = call("POST", "notices/replay", {"notice_no": notice.notice_no}).json()
        assert (answer["answered"], answer["state"], answer["attempts"]) == (204, "DELIVERED", 1)
        first, second = receiver.posts
        names = [name for name in first[0] if name.startswith("Wechatpay")]
        assert len(names) == 5
        assert second[1] == first[1]
        assert [second[0][name] for name in names] == [first[0][name] for name in names]
        assert call("POST", "notices/replay", {"id": 0}).status_code == 404

    def test_sent_again_it_is_signed_afresh(self, wechat: WechatClient, receiver: Receiver) -> None:
        _paid(wechat, receiver, "P00001")
        notice = Notice.objects.get()
        receiver.answers = [(500, b"")]
        _deliver()
        assert call("POST", "notices/resend", {"id": notice.pk}).json()["state"] == "DELIVERED"
        first, second = receiver.posts
        assert first[0]["Wechatpay-Nonce"] != second[0]["Wechatpay-Nonce"]
        wechat.verify(*second)
        assert _deliver(86400) == 0

    def test_an_old_one_comes_back(self, wechat: WechatClient, receiver: Receiver) -> None:
        _paid(wechat, receiver, "P00001")
        _deliver()
        faults.add_fault(key="notify_replayed", uses=1)
        _paid(wechat, receiver, "P00002")
        assert _deliver() == 1
        old, _new, again = receiver.posts
        assert again[1] == old[1]


def test_a_v2_notice_of_a_refund(wechat: WechatClient, receiver: Receiver) -> None:
    _paid(wechat, receiver, "P00001")
    _deliver()
    faults.add_fault(key="refund_notice_v2", uses=1)
    wechat.refund("P00001", "R00001", 1000, notify_url=receiver.url)
    assert _deliver(3) == 1
    headers, body = receiver.posts[-1]
    assert "Wechatpay-Signature" not in headers
    outer = {one.tag: one.text or "" for one in ET.fromstring(body)}
    assert (outer["mch_id"], outer["return_code"]) == (wechat.merchant.merchant_no, "SUCCESS")
    secret = hashlib.md5(wechat.config["api_v2_key"].encode(), usedforsecurity=False).hexdigest()
    cipher = Cipher(algorithms.AES(secret.encode()), modes.ECB()).decryptor()  # noqa: S305 - as prescribed
    plain = cipher.update(base64.b64decode(outer["req_info"])) + cipher.finalize()
    inner = {one.tag: one.text for one in ET.fromstring(plain[: -plain[-1]])}
    assert (inner["out_refund_no"], inner["refund_fee"], inner["refund_status"]) == (
        *("R00001", "1000"),
        "SUCCESS",
    )
