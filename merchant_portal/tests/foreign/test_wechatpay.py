"""wechatpayv3 against the simulator, and its signatures against our connector."""

from __future__ import annotations

import base64
import gzip
import json
import secrets
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from apps.platforms import rsa
from apps.platforms.connectors.wechatpay import signing
from merchant_portal.tests.foreign.harness import (
    ForeignClient,
    ForeignError,
    Inbox,
    Simulator,
    receiving,
)

NOW = datetime.now(UTC)


def _no(prefix: str) -> str:
    return f"{prefix}{secrets.token_hex(12)}"


@pytest.fixture(scope="module")
def inbox() -> Iterator[Inbox]:
    with receiving(b"") as inbox:
        yield inbox


@pytest.fixture(scope="module")
def shown(simulator: Simulator) -> dict[str, Any]:
    made: dict[str, Any] = simulator.control(
        "merchants", {"platform": "wechatpay", "name": "外来客户端", "key_mode": "both"}
    )
    return made


def _client(
    simulator: Simulator, shown: dict[str, Any], inbox: Inbox, **more: Any
) -> ForeignClient:
    job = {
        "credentials": shown,
        "base": f"{simulator.address}/wechatpay",
        "notify_url": inbox.url,
        **more,
    }
    return ForeignClient("wechatpay", job)


@pytest.fixture(scope="module")
def client(simulator: Simulator, shown: dict[str, Any], inbox: Inbox) -> Iterator[ForeignClient]:
    client = _client(simulator, shown, inbox)
    yield client
    client.close()


def _pay(client: ForeignClient, simulator: Simulator, shown: dict[str, Any], fen: int) -> str:
    order_no = _no("F")
    status, text = client.call(
        "pay", description="一号店 咖啡", out_trade_no=order_no, amount={"total": fen}
    )
    assert status == 200, text
    assert json.loads(text)["code_url"].startswith("weixin://")
    simulator.control(
        "pay",
        {
            "platform": "wechatpay",
            "merchant_no": shown["merchant_no"],
            "out_trade_no": order_no,
            "payer": "hua",
        },
    )
    return order_no


def _decoded(said: list[Any]) -> dict[str, Any]:
    status, text = said
    assert status == 200, text
    message: dict[str, Any] = json.loads(text)
    return message


def _notice(
    client: ForeignClient, simulator: Simulator, inbox: Inbox, order_no: str, *, number: int = 1
) -> dict[str, Any]:
    """The order's ``number``-th notice, opened by the client. Other orders' notices may come in between."""
    simulator.control("notices/flush", {})
    listed = simulator.control(f"notices?out_trade_no={order_no}")["notices"]
    notice_no = listed[-number]["notice_no"]
    headers, body = inbox.find(lambda body: notice_no.encode() in body)
    opened: dict[str, Any] = client.call(
        "callback", headers=headers, body=base64.b64encode(body).decode()
    )
    assert opened["resource"]["out_trade_no"] == order_no
    return opened


class TestTheSimulator:
    def test_a_payment_a_refund_and_their_notices(
        self, client: ForeignClient, simulator: Simulator, shown: dict[str, Any], inbox: Inbox
    ) -> None:
        order_no = _pay(client, simulator, shown, 2500)
        paid = _decoded(client.call("query", out_trade_no=order_no))
        assert (paid["trade_state"], paid["amount"]["total"]) == ("SUCCESS", 2500)
        notice = _notice(client, simulator, inbox, order_no)
        assert notice["event_type"] == "TRANSACTION.SUCCESS"

        refund_no = _no("R")
        asked = {"refund": 1000, "total": 2500, "currency": "CNY"}
        _decoded(
            client.call(
                "refund",
                out_refund_no=refund_no,
                out_trade_no=order_no,
                amount=asked,
                notify_url=inbox.url,
            )
        )
        notice = _notice(client, simulator, inbox, order_no, number=2)
        assert (notice["event_type"], notice["resource"]["refund_status"]) == (
            "REFUND.SUCCESS",
            "SUCCESS",
        )
        back = _decoded(client.call("query_refund", out_refund_no=refund_no))
        assert (back["status"], back["amount"]["refund"]) == ("SUCCESS", 1000)

    def test_what_is_unpaid_is_closed_and_what_is_paid_is_not(
        self, client: ForeignClient, simulator: Simulator, shown: dict[str, Any]
    ) -> None:
        order_no = _no("F")
        client.call("pay", description="茶", out_trade_no=order_no, amount={"total": 100})
        assert client.call("close", out_trade_no=order_no)[0] == 204
        closed = _decoded(client.call("query", out_trade_no=order_no))
        assert closed["trade_state"] == "CLOSED"
        paid = _pay(client, simulator, shown, 100)
        assert client.call("close", out_trade_no=paid)[0] >= 400

    def test_a_bill(
        self, client: ForeignClient, simulator: Simulator, shown: dict[str, Any]
    ) -> None:
        yesterday = datetime.now(ZoneInfo("Asia/Shanghai")) - timedelta(days=1)
        at = yesterday.replace(hour=10, minute=21, second=33, microsecond=0)
        order_no = _no("F")
        simulator.control(
            "books/bulk",
            {
                "platform": "wechatpay",
                "merchant_no": shown["merchant_no"],
                "payments": [
                    {
                        "out_trade_no": order_no,
                        "trade_no": f"42000025112026{secrets.randbelow(10**14):014d}",
                        "product": "native",
                        "amount_fen": 2500,
                        "created_at": (at - timedelta(seconds=30)).isoformat(),
                        "paid_at": at.isoformat(),
                        "payer": "hua",
                    }
                ],
            },
        )
        found = _decoded(client.call("trade_bill", bill_date=f"{yesterday:%Y-%m-%d}"))
        assert found["hash_type"] == "SHA1"
        status, content = client.call("download_bill", url=found["download_url"])
        assert status == 200
        raw = base64.b64decode(content)
        bill = (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode("utf-8-sig")
        assert order_no in bill

    def test_a_stranger_s_signature_is_seen_through(
        self, client: ForeignClient, simulator: Simulator, shown: dict[str, Any]
    ) -> None:
        order_no = _pay(client, simulator, shown, 100)
        for key in ("wrong_signature", "signtest"):
            simulator.control("faults", {"key": key, "platform": "wechatpay"})
            try:
                # On a probe the client stumbles over its base64 instead of refusing it: an error all the same.
                with pytest.raises(ForeignError):
                    client.call("query", out_trade_no=order_no)
            finally:
                simulator.control("faults", {}, "DELETE")
        assert _decoded(client.call("query", out_trade_no=order_no))["trade_state"] == "SUCCESS"

    def test_a_payer_s_code(
        self, client: ForeignClient, simulator: Simulator, shown: dict[str, Any]
    ) -> None:
        made = simulator.control("paycodes", {"wallet": "wechatpay", "behaviour": "password"})
        order_no = _no("F")
        said = _decoded(
            client.call(
                "pay",
                kind="codepay",
                description="茶",
                out_trade_no=order_no,
                amount={"total": 990},
                payer={"auth_code": made["digits"]},
                scene_info={"device_ip": "203.0.113.9", "store_info": {"id": "1"}},
            )
        )
        assert said["trade_state"] == "USERPAYING"
        simulator.control("paycodes/confirm", {"digits": made["digits"]})
        paid = _decoded(client.call("query", out_trade_no=order_no))
        assert (paid["trade_state"], paid["trade_type"]) == ("SUCCESS", "MICROPAY")
        undone = client.call("codepay_reverse", out_trade_no=order_no)
        assert undone[0] == 200
        assert _decoded(client.call("query", out_trade_no=order_no))["trade_state"] != "SUCCESS"

    def test_by_platform_certificates(
        self, simulator: Simulator, inbox: Inbox, tmp_path: Path
    ) -> None:
        made = simulator.control(
            "merchants",
            {"platform": "wechatpay", "name": "老商户", "key_mode": "certificate"},
        )
        client = _client(simulator, made, inbox, by_certificate=True, folder=str(tmp_path))
        try:
            assert client.call("certificates") == [made["platform_serial_no"].zfill(40)]
            order_no = _pay(client, simulator, made, 100)
            assert _decoded(client.call("query", out_trade_no=order_no))["trade_state"] == "SUCCESS"
            assert (
                _notice(client, simulator, inbox, order_no)["event_type"] == "TRANSACTION.SUCCESS"
            )
        finally:
            client.close()


class TestOurSigning:
    def test_what_the_client_signs_our_connector_verifies(
        self, client: ForeignClient, shown: dict[str, Any]
    ) -> None:
        key: Any = load_pem_private_key(shown["private_key"].encode(), None).public_key()
        body = '{"id":"EV-1","summary":"支付成功"}'
        timestamp, nonce = str(int(time.time())), "593BEC0C930BF1AFEB40B4A08C8FB242"
        headers = {
            "wechatpay-timestamp": timestamp,
            "wechatpay-nonce": nonce,
            "wechatpay-serial": "PUB_KEY_ID_1",
            "wechatpay-signature": client.call("sign", text=f"{timestamp}\n{nonce}\n{body}\n"),
        }
        keys = {"PUB_KEY_ID_1": signing.PlatformKey(key)}
        now = datetime.now(UTC)
        signing.verify(headers=headers, body=body.encode(), keys=keys, now=now)
        with pytest.raises(signing.SignatureRefused):
            signing.verify(headers=headers, body=body.encode() + b" ", keys=keys, now=now)

    def test_what_our_connector_signs_the_client_verifies(
        self, client: ForeignClient, shown: dict[str, Any]
    ) -> None:
        body = '{"description":"咖啡"}'
        message = signing.request_message(
            method="POST", target="/v3/pay/transactions/native", timestamp="1", nonce="n", body=body
        )
        signature = rsa.sign(rsa.load_private_key(shown["private_key"]), message)
        # The client joins time stamp, nonce and body by line feeds; a request has two more lines in front.
        head = "POST\n/v3/pay/transactions/native\n1"
        asked = {"timestamp": head, "nonce": "n", "signature": signature}
        assert client.call("verify", body=body, **asked) is True
        assert client.call("verify", body=body + " ", **asked) is False
