"""A small Alipay gateway for tests, behind httpx.MockTransport, with signing code of its own."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode

import httpx
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from apps.platforms.gateway import Credentials, RawNotification
from apps.platforms.tests.wechatpay_server import NOW, key, private_pem, public_pem, rsa_sign


def credentials() -> Credentials:
    return Credentials(
        app_id="2021000000000001",
        merchant_no="2088123456789012",
        keys={
            "private_key": private_pem("alipay app"),
            "alipay_public_key": public_pem("alipay platform"),
        },
    )


@dataclass
class AlipayServer:
    """Trades and refunds by number, plus what shall go wrong next."""

    ours: Credentials = field(default_factory=credentials)
    codes: dict[str, dict[str, Any]] = field(default_factory=dict)
    trades: dict[str, dict[str, Any]] = field(default_factory=dict)
    refunds: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    bills: dict[str, bytes] = field(default_factory=dict)
    faults: list[Callable[[httpx.Request], httpx.Response]] = field(default_factory=list)
    requests: list[httpx.Request] = field(default_factory=list)
    signer: str = "alipay platform"
    spoil: Callable[[bytes], bytes] | None = None
    slow_refunds: bool = False

    def handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if self.faults:
            return self.faults.pop(0)(request)
        if request.url.path == "/bill":
            return httpx.Response(200, content=self.bills[request.url.params["key"]])
        query = dict(parse_qsl(request.url.query.decode(), keep_blank_values=True))
        assert query["charset"] == "utf-8"
        fields = {**query, **dict(parse_qsl(request.content.decode(), keep_blank_values=True))}
        sign = fields.pop("sign")
        text = "&".join(f"{name}={fields[name]}" for name in sorted(fields) if fields[name])
        method = fields["method"]
        if fields["app_id"] != self.ours.app_id:
            return self.failure("error", "40002", "isv.invalid-app-id")
        try:
            key("alipay app").public_key().verify(
                base64.b64decode(sign), text.encode(), padding.PKCS1v15(), hashes.SHA256()
            )
        except Exception:  # noqa: BLE001  # whatever is wrong with it, the answer is the same
            return self.failure(method, "40002", "isv.invalid-signature")
        if method == "alipay.system.oauth.token":
            if fields["code"] != "good":
                return self.failure("error", "40002", "isv.code-invalid")
            return self.answer(method, {"user_id": "2088000000000007", "access_token": "t"})
        return self.route(method, json.loads(fields["biz_content"]))

    def answer(self, method: str, body: dict[str, Any], *, signed: bool = True) -> httpx.Response:
        name = "error_response" if method == "error" else method.replace(".", "_") + "_response"
        # As the platform does: slashes escaped, everything beyond ASCII escaped.
        inner = json.dumps(body).replace("/", r"\/").encode()
        sign = rsa_sign(self.signer, inner)
        if self.spoil:
            inner = self.spoil(inner)
        outer = b'{"' + name.encode() + b'":' + inner
        outer += b',"sign":"' + sign.encode() + b'"}' if signed else b"}"
        return httpx.Response(200, content=outer)

    def failure(self, method: str, code: str, sub_code: str) -> httpx.Response:
        body = {"code": code, "msg": "Failed", "sub_code": sub_code, "sub_msg": "原因"}
        return self.answer(method, body, signed=code == "40004")

    def good(self, method: str, body: dict[str, Any]) -> httpx.Response:
        return self.answer(method, {"code": "10000", "msg": "Success", **body})

    def route(self, method: str, biz: dict[str, Any]) -> httpx.Response:
        number = biz.get("out_trade_no", "")
        if method == "alipay.trade.precreate":
            self.codes[number] = biz
            return self.good(
                method, {"out_trade_no": number, "qr_code": f"https://qr.alipay.com/{number}"}
            )
        if method == "alipay.data.dataservice.bill.downloadurl.query":
            token = f"{biz['bill_type']}:{biz['bill_date']}"
            if token not in self.bills:
                return self.failure(method, "40004", "isp.bill_not_exist")
            return self.good(
                method, {"bill_download_url": f"https://bill.test/bill?{urlencode({'key': token})}"}
            )
        trade = self.trades.get(number)
        if trade is None:
            return self.failure(method, "40004", "ACQ.TRADE_NOT_EXIST")
        if method == "alipay.trade.query":
            return self.good(method, trade)
        if method == "alipay.trade.close":
            if trade["trade_status"] != "WAIT_BUYER_PAY":
                return self.failure(method, "40004", "ACQ.TRADE_STATUS_ERROR")
            trade["trade_status"] = "TRADE_CLOSED"
            return self.good(method, {"out_trade_no": number, "trade_no": trade["trade_no"]})
        if method == "alipay.trade.refund":
            return self.refund(method, biz, trade)
        assert method == "alipay.trade.fastpay.refund.query"
        found = self.refunds.get((number, biz["out_request_no"]))
        return self.good(method, found or {})

    def scan(self, number: str) -> None:
        biz = self.codes[number]
        self.trades[number] = {
            "out_trade_no": number,
            "trade_no": f"20260501{number}",
            "trade_status": "WAIT_BUYER_PAY",
            "total_amount": biz["total_amount"],
            "buyer_logon_id": "159****5620",
            "buyer_user_id": "2088000000000007",
        }

    def pay(self, number: str) -> None:
        if number not in self.trades:
            self.scan(number)
        self.trades[number] |= {
            "trade_status": "TRADE_SUCCESS",
            "send_pay_date": "2026-05-01 10:21:33",
        }

    def refund(self, method: str, biz: dict[str, Any], trade: dict[str, Any]) -> httpx.Response:
        place = (biz["out_trade_no"], biz["out_request_no"])
        body = {
            "out_trade_no": biz["out_trade_no"],
            "trade_no": trade["trade_no"],
            "refund_fee": biz["refund_amount"],
            "gmt_refund_pay": "2026-05-01 15:42:00",
        }
        if place in self.refunds or self.slow_refunds:
            return self.good(method, {**body, "fund_change": "N"})
        self.refunds[place] = {
            "out_trade_no": biz["out_trade_no"],
            "out_request_no": biz["out_request_no"],
            "total_amount": trade["total_amount"],
            "refund_amount": biz["refund_amount"],
            "refund_status": "REFUND_SUCCESS",
            "gmt_refund_pay": "2026-05-01 15:42:00",
        }
        if biz["refund_amount"] == trade["total_amount"]:
            trade["trade_status"] = "TRADE_CLOSED"
        return self.good(method, {**body, "fund_change": "Y"})

    def fields(self, number: str, **more: str) -> dict[str, str]:
        trade = self.trades[number]
        return {
            "notify_type": "trade_status_sync",
            "notify_id": "n1",
            "notify_time": "2026-05-01 10:21:40",
            "app_id": self.ours.app_id,
            "seller_id": self.ours.merchant_no,
            "charset": "utf-8",
            "version": "1.0",
            "out_trade_no": number,
            "trade_no": trade["trade_no"],
            "trade_status": trade["trade_status"],
            "total_amount": trade["total_amount"],
            "gmt_payment": trade.get("send_pay_date", ""),
            "subject": "一号店 + 咖啡 100%",
            "fund_bill_list": '[{"amount":"25.00","fundChannel":"ALIPAYACCOUNT"}]',
            "buyer_id": "2088000000000007",
            **more,
        }

    def notice(self, fields: dict[str, str], *, charset: str = "utf-8") -> RawNotification:
        fields = {name: value for name, value in fields.items() if value}
        text = "&".join(f"{name}={fields[name]}" for name in sorted(fields))
        sign = rsa_sign(self.signer, text.encode(charset))
        body = urlencode({**fields, "sign_type": "RSA2", "sign": sign}, encoding=charset)
        return RawNotification(headers={}, query="", body=body.encode(), received_at=NOW)
