"""python-alipay-sdk against the simulator, and its signatures against our connector."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from apps.platforms import rsa
from apps.platforms.connectors.alipay import signing
from merchant_portal.tests.foreign.harness import (
    ForeignClient,
    ForeignError,
    Inbox,
    Simulator,
    receiving,
)


def _no(prefix: str) -> str:
    return f"{prefix}{secrets.token_hex(12)}"


@pytest.fixture(scope="module")
def inbox() -> Iterator[Inbox]:
    with receiving(b"success") as inbox:
        yield inbox


@pytest.fixture(scope="module", params=["keys", "certificates"])
def shown(request: pytest.FixtureRequest, simulator: Simulator) -> dict[str, Any]:
    mode = {"keys": "public_key", "certificates": "certificate"}[request.param]
    made: dict[str, Any] = simulator.control(
        "merchants", {"platform": "alipay", "name": "外来客户端", "key_mode": mode}
    )
    return {**made, "by_certificate": mode == "certificate"}


@pytest.fixture(scope="module")
def client(simulator: Simulator, shown: dict[str, Any], inbox: Inbox) -> Iterator[ForeignClient]:
    job = {
        "credentials": shown,
        "by_certificate": shown["by_certificate"],
        "base": f"{simulator.address}/alipay/gateway.do",
        "notify_url": inbox.url,
    }
    client = ForeignClient("alipay", job)
    yield client
    client.close()


def _pay(client: ForeignClient, simulator: Simulator, shown: dict[str, Any], yuan: str) -> str:
    order_no = _no("F")
    said = client.call(
        "trade_precreate", subject="一号店 咖啡", out_trade_no=order_no, total_amount=yuan
    )
    assert said["code"] == "10000", said
    assert said["qr_code"].startswith("https://qr.alipay.com/")
    # Nobody has scanned it: there is no trade yet.
    assert client.call("trade_query", out_trade_no=order_no)["sub_code"] == "ACQ.TRADE_NOT_EXIST"
    simulator.control(
        "pay",
        {"platform": "alipay", "merchant_no": shown["merchant_no"], "out_trade_no": order_no},
    )
    return order_no


def _form(body: bytes) -> dict[str, str]:
    fields, _charset = signing.read_form(body)
    return dict(fields)


class TestTheSimulator:
    def test_a_payment_a_refund_and_their_notices(
        self, client: ForeignClient, simulator: Simulator, shown: dict[str, Any], inbox: Inbox
    ) -> None:
        order_no = _pay(client, simulator, shown, "25.00")
        paid = client.call("trade_query", out_trade_no=order_no)
        assert (paid["trade_status"], paid["total_amount"]) == ("TRADE_SUCCESS", "25.00")
        fields = _form(inbox.find(lambda body: order_no.encode() in body)[1])
        assert fields["out_trade_no"] == order_no
        sign = fields.pop("sign")
        assert client.call("verify", fields=fields, signature=sign) is True
        forged = {**fields, "total_amount": "0.01"}
        assert client.call("verify", fields=forged, signature=sign) is False

        refund_no = _no("R")
        back = client.call(
            "trade_refund", out_trade_no=order_no, refund_amount="10.00", out_request_no=refund_no
        )
        assert (back["fund_change"], back["refund_fee"]) == ("Y", "10.00")
        again = client.call(
            "trade_refund", out_trade_no=order_no, refund_amount="10.00", out_request_no=refund_no
        )
        assert (again["fund_change"], again["refund_fee"]) == ("N", "10.00")
        known = client.call(
            "trade_fastpay_refund_query", out_trade_no=order_no, out_request_no=refund_no
        )
        assert (known["refund_status"], known["refund_amount"]) == ("REFUND_SUCCESS", "10.00")

    def test_a_payer_s_code(self, client: ForeignClient, simulator: Simulator) -> None:
        made = simulator.control("paycodes", {"wallet": "alipay", "behaviour": "password"})
        order_no = _no("F")
        said = client.call(
            "trade_pay",
            out_trade_no=order_no,
            scene="bar_code",
            auth_code=made["digits"],
            subject="茶",
            total_amount="9.90",
        )
        assert said["code"] == "10003"
        simulator.control("paycodes/confirm", {"digits": made["digits"]})
        assert client.call("trade_query", out_trade_no=order_no)["trade_status"] == "TRADE_SUCCESS"
        undone = client.call("trade_cancel", out_trade_no=order_no)
        assert (undone["code"], undone["action"], undone["retry_flag"]) == ("10000", "refund", "N")

    def test_a_stranger_s_signature_is_seen_through(
        self, client: ForeignClient, simulator: Simulator, shown: dict[str, Any]
    ) -> None:
        order_no = _pay(client, simulator, shown, "1.00")
        simulator.control("faults", {"key": "wrong_signature", "platform": "alipay"})
        try:
            with pytest.raises(ForeignError):
                client.call("trade_query", out_trade_no=order_no)
        finally:
            simulator.control("faults", {}, "DELETE")
        assert client.call("trade_query", out_trade_no=order_no)["trade_status"] == "TRADE_SUCCESS"


class TestOurSigning:
    def test_what_the_client_signs_our_connector_verifies(
        self, client: ForeignClient, shown: dict[str, Any]
    ) -> None:
        public: Any = load_pem_private_key(shown["private_key"].encode(), None).public_key()
        fields = {
            "notify_type": "trade_status_sync",
            "out_trade_no": "P1",
            "subject": "咖啡 + 茶",
            "fund_bill_list": '[{"amount":"25.00","fundChannel":"ALIPAYACCOUNT"}]',
        }
        text = "&".join(f"{name}={fields[name]}" for name in sorted(fields))
        sign = client.call("sign", text=text)
        signed = {**fields, "sign": sign, "sign_type": "RSA2"}
        signing.verify_form(public, signed, "utf-8")
        with pytest.raises(signing.SignatureRefused):
            signing.verify_form(public, {**signed, "out_trade_no": "P2"}, "utf-8")

    def test_both_sign_a_request_alike(self, client: ForeignClient, shown: dict[str, Any]) -> None:
        # PKCS#1 v1.5 leaves no room: the same text under the same key has one signature.
        parameters = {
            "app_id": shown["app_id"],
            "method": "alipay.trade.query",
            "charset": "utf-8",
            "sign_type": "RSA2",
            "timestamp": "2026-05-01 10:21:33",
            "version": "1.0",
            "biz_content": '{"out_trade_no":"P1"}',
        }
        ours = signing.sign_request(rsa.load_private_key(shown["private_key"]), parameters)
        text = "&".join(f"{name}={parameters[name]}" for name in sorted(parameters))
        assert client.call("sign", text=text) == ours
