"""A small UnionPay for tests, behind httpx.MockTransport, with a certificate authority and signing code of its own."""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from functools import cached_property, lru_cache
from typing import Any
from urllib.parse import parse_qsl, urlencode

import httpx
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    pkcs12,
)

from apps.platforms.gateway import Credentials, RawNotification
from apps.platforms.http import PlatformHttp
from apps.platforms.tests.wechatpay_server import key

OWNER = "中国银联股份有限公司"
MERCHANT_NO = "777290058110048"
PASSWORD = "7gQ2-of-tests"
BEIJING = timezone(timedelta(hours=8))
#: The serial numbers of leaves, which UnionPay writes in decimal.
SERIAL = 69_597_903_508
FROM, UNTIL = datetime(2020, 1, 1, tzinfo=UTC), datetime(2045, 1, 1, tzinfo=UTC)
QR = "https://qr.95516.com/00010000/62027533387488456892269917213370"

_COMMON_NAMES = {
    "root": "UnionPay test root",
    "middle": "UnionPay test middle",
    "other root": "UnionPay test root",
    "other middle": "UnionPay test middle",
    "unionpay": f"041@8310000000000001@{OWNER}@00000001",
    "renewed": f"041@8310000000000001@{OWNER}@00000002",
    "expired": f"041@8310000000000001@{OWNER}@00000003",
    "self-signed": f"041@8310000000000001@{OWNER}@00000001",
    "other chain": f"041@8310000000000001@{OWNER}@00000001",
    "other owner": "041@8310000000000001@某某茶馆@00000001",
    "merchant": "041@Z2026-05-01@777290058110048:SIGN@00000001",
    "other merchant": "041@Z2026-05-01@777290058110049:SIGN@00000001",
}
_FACTS = (
    "txnType",
    "txnSubType",
    "bizType",
    "orderId",
    "txnTime",
    "txnAmt",
    "currencyCode",
    "reqReserved",
    "origQryId",
)
_ISSUERS = {
    "root": "root",
    "other root": "other root",
    "self-signed": "self-signed",
    "middle": "root",
    "other middle": "other root",
    "other chain": "other middle",
}


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, _COMMON_NAMES[name])])


def keys_of(name: str) -> rsa.RSAPrivateKey:
    return key(f"unionpay {name}")


@lru_cache
def certificate(name: str) -> x509.Certificate:
    """A certificate by name, made once a run; what it is good for is in the tables above."""
    issuer = _ISSUERS.get(name, "middle")
    until = datetime(2026, 1, 1, tzinfo=UTC) if name == "expired" else UNTIL
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(issuer))
        .public_key(keys_of(name).public_key())
        .serial_number(SERIAL + list(_COMMON_NAMES).index(name))
        .not_valid_before(FROM)
        .not_valid_after(until)
        .sign(keys_of(issuer), hashes.SHA256())
    )


def signed_with_sha1(name: str) -> x509.Certificate:
    """The same certificate as its issuer would sign it with SHA-1, which the library no longer does by itself."""
    made = certificate(name)
    sha256, sha1 = bytes.fromhex("2a864886f70d01010b"), bytes.fromhex("2a864886f70d010105")
    content = made.tbs_certificate_bytes.replace(sha256, sha1)
    signer = keys_of(_ISSUERS.get(name, "middle"))
    signature = signer.sign(content, padding.PKCS1v15(), hashes.SHA1())  # noqa: S303  # as UnionPay's test chain
    whole = made.public_bytes(Encoding.DER)
    whole = whole.replace(made.tbs_certificate_bytes, content).replace(sha256, sha1)
    return x509.load_der_x509_certificate(whole.replace(made.signature, signature))


def pem(made: str | x509.Certificate) -> str:
    """PEM with the line ends of Windows, as UnionPay sends it."""
    whole = certificate(made) if isinstance(made, str) else made
    return whole.public_bytes(Encoding.PEM).decode().replace("\n", "\r\n")


@lru_cache
def pfx(name: str = "merchant", password: str = PASSWORD) -> str:
    """A merchant's key and certificate, as base64 of the file."""
    sealed = pkcs12.serialize_key_and_certificates(
        b"merchant",
        keys_of(name),
        certificate(name),
        [certificate("middle")],
        BestAvailableEncryption(password.encode()),
    )
    return base64.b64encode(sealed).decode()


@lru_cache
def credentials() -> Credentials:
    return Credentials(
        app_id="",
        merchant_no=MERCHANT_NO,
        keys={
            "certificate": pfx(),
            "certificate_password": PASSWORD,
            "root_certificate": pem("root"),
            "middle_certificate": pem("middle"),
        },
    )


def text_of(fields: dict[str, str]) -> str:
    pairs = sorted((name, value) for name, value in fields.items() if name != "signature")
    return "&".join(f"{name}={value}" for name, value in pairs)


def signature_of(name: str, fields: dict[str, str], *, charset: str = "utf-8") -> str:
    inner = hashlib.sha256(text_of(fields).encode(charset)).hexdigest()
    raw = keys_of(name).sign(inner.encode(), padding.PKCS1v15(), hashes.SHA256())
    return base64.b64encode(raw).decode()


def packed(content: bytes) -> str:
    """A file as it travels."""
    return base64.b64encode(zlib.compress(content)).decode()


def zipped(members: Iterable[tuple[str, bytes]]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return made.getvalue()


@dataclass
class UnionpayServer:
    """Transactions by number, plus what shall go wrong next."""

    ours: Credentials = field(default_factory=credentials)
    #: Each with its request's fields and ``code``: "" until UnionPay knows it, else what a query says of it.
    deals: dict[str, dict[str, Any]] = field(default_factory=dict)
    bills: dict[str, bytes] = field(default_factory=dict)
    faults: list[Callable[[httpx.Request], httpx.Response]] = field(default_factory=list)
    requests: list[dict[str, str]] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)
    #: Whose certificate and whose key stand behind the answers; they differ where somebody forges.
    signer: str = "unionpay"
    signs_with: str = ""
    spoil: Callable[[bytes], bytes] | None = None
    #: The platform's clock; without one no ``txnTime`` is too far from it.
    now: datetime | None = None
    #: What a query says of a code that was scanned and not paid.
    unpaid: str = "05"
    #: What it says of a refund that is under way.
    slow: str = "05"
    #: What answers and notices say instead of the truth.
    misstated: dict[str, str] = field(default_factory=dict)
    #: A field that stands before its own self in answers and notices, with this value.
    doubled: dict[str, str] = field(default_factory=dict)

    @cached_property
    def http(self) -> PlatformHttp:
        """The way to it."""
        transport = httpx.MockTransport(self.handle)
        return PlatformHttp(timeout=60, transport=transport, async_transport=transport)

    def handle(self, request: httpx.Request) -> httpx.Response:
        assert request.method == "POST"
        pairs = parse_qsl(request.content.decode("ascii"), keep_blank_values=True)
        fields = dict(pairs)
        assert len(fields) == len(pairs)
        self.requests.append(fields)
        self.urls.append(str(request.url))
        if self.faults:
            return self.faults.pop(0)(request)
        return self.answer(self.judge(fields))

    def judge(self, fields: dict[str, str]) -> dict[str, str]:
        """The answer's fields, before they are signed."""
        echo: dict[str, str] = {
            name: fields[name]
            for name in (
                "version",
                "encoding",
                "signMethod",
                "txnType",
                "txnSubType",
                "bizType",
                "accessType",
                "merId",
                "orderId",
                "txnTime",
                "txnAmt",
                "currencyCode",
                "reqReserved",
            )
            if name in fields
        }
        assert all(value == value.strip() != "" for value in fields.values())
        if fields["merId"] != self.ours.merchant_no:
            return {**echo, "respCode": "10", "respMsg": "merId无效[9100002]"}
        if fields["certId"] != str(certificate("merchant").serial_number):
            return {**echo, "respCode": "11", "respMsg": "certId无效[9100003]"}
        inner = hashlib.sha256(text_of(fields).encode()).hexdigest()
        try:
            keys_of("merchant").public_key().verify(
                base64.b64decode(fields["signature"]),
                inner.encode(),
                padding.PKCS1v15(),
                hashes.SHA256(),
            )
        except InvalidSignature:
            return {**echo, "respCode": "11", "respMsg": "Signature verification failed[9100004]"}
        if self.now is not None and fields["txnType"] != "00":
            sent = datetime.strptime(fields["txnTime"], "%Y%m%d%H%M%S").replace(tzinfo=BEIJING)
            if abs(sent - self.now) > timedelta(minutes=5):
                return {**echo, "respCode": "10", "respMsg": "txnTime无效[9100005]"}
        return {**echo, **self.route(fields)}

    def route(self, fields: dict[str, str]) -> dict[str, str]:
        kind = fields["txnType"] + fields["txnSubType"]
        if kind == "0000":
            return self.told(fields)
        if kind == "7601":
            bill = self.bills.get(fields["settleDate"])
            if bill is None:
                return {"respCode": "98", "respMsg": "文件不存在[9800001]"}
            return {
                **self.good(),
                "fileName": f"{fields['merId']}_2026{fields['settleDate']}.zip",
                "fileContent": packed(bill),
            }
        if kind == "9901":
            return self.reversed(fields)
        number = fields["orderId"]
        if number in self.deals:
            return {"respCode": "12", "respMsg": "重复交易[2010002]"}
        self.deals[number] = {**fields, "code": ""}
        if kind == "0107":
            return {**self.good(), "qrCode": QR}
        if kind == "0106":
            self.deals[number]["code"] = self.unpaid
            return self.good()
        assert kind in {"0400", "3100"}
        return self.refunded(fields)

    def good(self) -> dict[str, str]:
        return {"respCode": "00", "respMsg": "成功[0000000]"}

    def told(self, fields: dict[str, str]) -> dict[str, str]:
        deal = self.deals.get(fields["orderId"])
        if deal is None or deal["txnTime"] != fields["txnTime"] or not deal["code"]:
            return {"respCode": "34", "respMsg": "查无此交易[2600000]"}
        return {
            **self.good(),
            "origRespCode": deal["code"],
            "origRespMsg": "成功[0000000]" if deal["code"] == "00" else "处理中[0000005]",
            **self.facts(deal),
        }

    def facts(self, deal: dict[str, Any]) -> dict[str, str]:
        """What UnionPay adds to a transaction that it has."""
        facts = {name: str(deal[name]) for name in _FACTS if name in deal}
        if deal["code"] in {"00", "A6"}:
            facts |= {
                "queryId": deal["queryId"],
                "traceNo": "561652",
                "traceTime": deal["traceTime"],
                "settleDate": deal["traceTime"][:4],
                "settleAmt": facts["txnAmt"],
                "settleCurrencyCode": "156",
                "accNo": "621626*********0018",
                "payCardType": "01",
            }
        return facts | self.misstated

    def scan(self, number: str) -> None:
        self.deals[number]["code"] = self.unpaid

    def pay(self, number: str, *, at: str = "0501102133") -> None:
        self.deals[number] |= {"code": "00", "traceTime": at, "queryId": f"5226{at}56165280"[:21]}

    def refunded(self, fields: dict[str, str]) -> dict[str, str]:
        paid = [
            deal
            for deal in self.deals.values()
            if deal.get("queryId") == fields["origQryId"] and deal["txnType"] == "01"
        ]
        if not paid:
            del self.deals[fields["orderId"]]
            return {"respCode": "35", "respMsg": "原交易不存在[2040003]"}
        self.deals[fields["orderId"]] |= {
            "code": self.slow,
            "queryId": f"5226050115420056169{len(self.deals):02d}",
            "traceTime": "0501154200",
        }
        return {**self.good(), "queryId": self.deals[fields["orderId"]]["queryId"]}

    def finish(self, number: str, *, code: str = "00") -> None:
        self.deals[number]["code"] = code

    def reversed(self, fields: dict[str, str]) -> dict[str, str]:
        deal = self.deals.get(fields["orderId"])
        if deal is None or deal["txnTime"] != fields["txnTime"]:
            return {"respCode": "34", "respMsg": "查无此交易[2600000]"}
        deal["code"] = "01"
        return self.good()

    def answer(self, fields: dict[str, str], *, signed: bool = True) -> httpx.Response:
        """The answer on the wire: nothing escaped."""
        if signed:
            fields = {**fields, "signPubKeyCert": pem(self.signer)}
            fields["signature"] = signature_of(self.signs_with or self.signer, fields)
        pairs = [*self.doubled.items(), *fields.items()]
        body = "&".join(f"{name}={value}" for name, value in pairs).encode()
        return httpx.Response(200, content=self.spoil(body) if self.spoil else body)

    def saying(self, code: str, words: str = "原因[0000001]") -> Callable[..., httpx.Response]:
        """A fault: the next answer has this code, whatever was asked."""

        def answer(request: httpx.Request) -> httpx.Response:
            echo: dict[str, str] = {
                name: self.requests[-1][name]
                for name in ("merId", "orderId", "txnTime", "txnType", "txnSubType")
                if name in self.requests[-1]
            }
            return self.answer({**echo, "respCode": code, "respMsg": words})

        return answer

    def fields(self, number: str, **more: str) -> dict[str, str]:
        """A notice's fields, unsigned."""
        deal = self.deals[number]
        return {
            "version": "5.1.0",
            "encoding": "UTF-8",
            "signMethod": "01",
            "accessType": "0",
            "merId": self.ours.merchant_no,
            "respCode": "00",
            "respMsg": "成功[0000000]",
            **self.facts({**deal, "code": "00"}),
            **more,
        }

    def notice(
        self, fields: dict[str, str], *, charset: str = "utf-8", query: str = ""
    ) -> RawNotification:
        """An ordinary form, signed."""
        fields = {**fields, "signPubKeyCert": pem(self.signer)}
        fields["signature"] = signature_of(self.signs_with or self.signer, fields, charset=charset)
        pairs = [*self.doubled.items(), *fields.items()]
        body = urlencode(pairs, encoding=charset).encode("ascii")
        at = datetime(2026, 5, 1, 2, 22, tzinfo=UTC)
        return RawNotification(headers={}, query=query, body=body, received_at=at)
