"""A small Alipay gateway for tests, behind httpx.MockTransport, with signing code of its own."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, urlencode

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.serialization import Encoding

from apps.platforms.gateway import Credentials, RawNotification
from apps.platforms.tests.wechatpay_server import NOW, key, private_pem, public_pem, rsa_sign

#: Who issued whom; roots issued themselves.
_ISSUERS = {
    "alipay root": "alipay root",
    "alipay middle": "alipay root",
    "other root": "other root",
    "other middle": "other root",
    "alipay app": "alipay middle",
    "alipay platform": "alipay middle",
    "alipay renewed": "alipay middle",
    "alipay expired": "alipay middle",
    # Signed by a certificate that is nobody's authority.
    "alipay pretended": "alipay renewed",
    "other chain": "other middle",
}
_AUTHORITIES = {"alipay root", "alipay middle", "other root", "other middle"}


def _name(name: str) -> x509.Name:
    oid = x509.NameOID
    return x509.Name(
        [
            x509.NameAttribute(oid.COUNTRY_NAME, "CN"),
            x509.NameAttribute(oid.ORGANIZATION_NAME, "Ant Financial test"),
            x509.NameAttribute(oid.ORGANIZATIONAL_UNIT_NAME, "Certification Authority test"),
            x509.NameAttribute(oid.COMMON_NAME, name.replace("other", "alipay")),
        ]
    )


@lru_cache
def certificate(name: str) -> x509.Certificate:
    """A certificate by name, made once a run."""
    issuer = _ISSUERS[name]
    days = (-60, -1) if name == "alipay expired" else (-60, 60)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(issuer))
        .public_key(key(name).public_key())
        .serial_number(42_759_813 + list(_ISSUERS).index(name))
        .not_valid_before(NOW + timedelta(days=days[0]))
        .not_valid_after(NOW + timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca=name in _AUTHORITIES, path_length=None), True)
        .sign(key(issuer), hashes.SHA256())
    )


@lru_cache
def elliptic_root() -> x509.Certificate:
    """The bundle of roots also holds one that is not RSA and does not count."""
    private = ec.generate_private_key(ec.SECP256R1())
    return (
        x509.CertificateBuilder()
        .subject_name(_name("alipay elliptic"))
        .issuer_name(_name("alipay elliptic"))
        .public_key(private.public_key())
        .serial_number(7)
        .not_valid_before(NOW - timedelta(days=60))
        .not_valid_after(NOW + timedelta(days=60))
        .sign(private, hashes.SHA256())
    )


def pem(*names: str) -> str:
    return "".join(certificate(name).public_bytes(Encoding.PEM).decode() for name in names)


def sn(name: str) -> str:
    """The SN by the letter of the documentation."""
    issuer = _ISSUERS[name].replace("other", "alipay")
    text = f"CN={issuer},OU=Certification Authority test,O=Ant Financial test,C=CN"
    return hashlib.md5(  # noqa: S324  # as prescribed
        f"{text}{certificate(name).serial_number}".encode()
    ).hexdigest()


def certified() -> Credentials:
    """The same merchant in certificate mode."""
    roots = pem("alipay root") + elliptic_root().public_bytes(Encoding.PEM).decode()
    return Credentials(
        app_id="2021000000000001",
        merchant_no="2088123456789012",
        keys={
            "private_key": private_pem("alipay app"),
            "app_certificate": pem("alipay app", "alipay middle"),
            "alipay_certificate": pem("alipay platform", "alipay middle"),
            "alipay_root_certificate": roots,
        },
    )


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
    #: Changes the text of answers and notices before it is signed.
    rewrite: Callable[[str], str] | None = None
    #: The character set that answers come in, whatever was asked for; whether their heading names it.
    charset: str = "utf-8"
    names_charset: bool = True
    #: Whether the payer of the next code must type a password.
    code_waits: bool = False
    #: What a download of a certificate brings: names, the leaf first.
    offered: list[str] = field(default_factory=list)
    #: False where answers do not name the certificate that they are signed with.
    names_certificate: bool = True

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
        if "app_certificate" in self.ours.keys:
            # Only roots signed by RSA count.
            assert fields["alipay_root_cert_sn"] == sn("alipay root")
            if fields["app_cert_sn"] != sn("alipay app"):
                return self.failure("error", "40002", "isv.app-cert-sn-not-matched")
        else:
            assert not fields.keys() & {"app_cert_sn", "alipay_root_cert_sn"}
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
        # As the platform does: slashes escaped; in UTF-8 everything beyond ASCII as well.
        text = json.dumps(body, ensure_ascii=self.charset == "utf-8").replace("/", r"\/")
        inner = (self.rewrite(text) if self.rewrite else text).encode(self.charset)
        sign = rsa_sign(self.signer, inner)
        if self.spoil:
            inner = self.spoil(inner)
        outer = b'{"' + name.encode() + b'":' + inner
        if "app_certificate" in self.ours.keys and self.names_certificate:
            number = sn(self.signer) if self.signer in _ISSUERS else "0" * 32
            outer += b',"alipay_cert_sn":"' + number.encode() + b'"'
        outer += b',"sign":"' + sign.encode() + b'"}' if signed else b"}"
        named = f";charset={self.charset}" if self.names_charset else ""
        return httpx.Response(200, content=outer, headers={"content-type": f"text/html{named}"})

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
        if method == "alipay.open.app.alipaycert.download":
            content = base64.b64encode(pem(*self.offered).encode()).decode()
            return self.good(method, {"alipay_cert_content": content})
        if method == "alipay.trade.create":
            assert biz["product_code"] == "JSAPI_PAY"
            assert biz.get("buyer_id") or biz.get("buyer_open_id")
            self.codes[number] = biz
            self.scan(number)
            return self.good(
                method, {"out_trade_no": number, "trade_no": self.trades[number]["trade_no"]}
            )
        if method == "alipay.trade.pay":
            return self.code(method, biz)
        trade = self.trades.get(number)
        if trade is None:
            return self.failure(method, "40004", "ACQ.TRADE_NOT_EXIST")
        if method == "alipay.trade.cancel":
            return self.cancel(method, number)
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

    def code(self, method: str, biz: dict[str, Any]) -> httpx.Response:
        assert biz["scene"] == "bar_code"
        assert biz["product_code"] == "FACE_TO_FACE_PAYMENT"
        number = biz["out_trade_no"]
        if number in self.trades:
            return self.failure(method, "40004", "ACQ.TRADE_HAS_SUCCESS")
        self.codes[number] = biz
        self.scan(number)
        trade = self.trades[number]
        shown = {name: trade[name] for name in ("out_trade_no", "trade_no", "buyer_logon_id")}
        if self.code_waits:
            return self.answer(
                method, {"code": "10003", "msg": "order success pay inprocess", **shown}
            )
        self.pay(number)
        return self.good(
            method,
            {
                **shown,
                "buyer_user_id": trade["buyer_user_id"],
                "total_amount": trade["total_amount"],
                "receipt_amount": trade["total_amount"],
                "gmt_payment": "2026-05-01 10:21:33",
            },
        )

    def cancel(self, method: str, number: str) -> httpx.Response:
        trade = self.trades[number]
        paid = "send_pay_date" in trade
        trade["trade_status"] = "TRADE_CLOSED"
        return self.good(
            method,
            {
                "out_trade_no": number,
                "trade_no": trade["trade_no"],
                "retry_flag": "N",
                "action": "refund" if paid else "close",
            },
        )

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
        if "app_certificate" in self.ours.keys:
            fields["alipay_cert_sn"] = sn(self.signer) if self.signer in _ISSUERS else "0" * 32
        text = "&".join(f"{name}={fields[name]}" for name in sorted(fields))
        sign = rsa_sign(self.signer, text.encode(charset))
        body = urlencode({**fields, "sign_type": "RSA2", "sign": sign}, encoding=charset)
        return RawNotification(headers={}, query="", body=body.encode(), received_at=NOW)
