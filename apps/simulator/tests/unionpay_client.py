"""A merchant's client of UnionPay for the tests: a second, separate implementation from the documentation alone.

It opens its own .pfx, signs and checks the chain with ``cryptography`` directly, reads raw answers with a scanner of its
own, and shares nothing with the simulator's code but the model that hands out the credentials.
"""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
import zlib
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode
from zoneinfo import ZoneInfo

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID
from django.test import Client

BACK = "/unionpay/gateway/api/backTransReq.do"
QUERY = "/unionpay/gateway/api/queryTrans.do"
FRONT = "/unionpay/gateway/api/frontTransReq.do"
FILE = "/unionpay/file/"
NOTIFY = "http://localhost:8000/notify/unionpay/x"


def beijing(at: datetime) -> str:
    """YYYYMMDDhhmmss."""
    return at.astimezone(ZoneInfo("Asia/Shanghai")).strftime("%Y%m%d%H%M%S")


def parse_raw(body: bytes) -> dict[str, str]:
    """k=v&k=v without any decoding; an ampersand inside {…} or […] belongs to the value."""
    fields: dict[str, str] = {}
    depth, start, text = 0, 0, body.decode("utf-8")
    for place, sign in enumerate(f"{text}&"):
        depth += (sign in "{[") - (sign in "}]")
        if sign == "&" and depth == 0:
            name, _, value = text[start:place].partition("=")
            assert name not in fields
            fields[name] = value
            start = place + 1
    return fields


def checked(fields: dict[str, str], root: str, middle: str) -> dict[str, str]:
    """The fields, if UnionPay signed them: dates, chain, owner, signature. Raises AssertionError or InvalidSignature."""
    assert "\r\n" in fields["signPubKeyCert"]
    chain = [
        x509.load_pem_x509_certificate(pem.encode())
        for pem in (fields["signPubKeyCert"], middle, root)
    ]
    now = datetime.now(UTC)
    for certificate, issuer in zip(chain, [*chain[1:], chain[-1]], strict=True):
        assert certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc, "dates"
        assert certificate.issuer == issuer.subject, "issuer"
        issuer_key = issuer.public_key()
        assert isinstance(issuer_key, rsa.RSAPublicKey)
        algorithm = certificate.signature_hash_algorithm
        assert algorithm is not None
        issuer_key.verify(
            certificate.signature,
            certificate.tbs_certificate_bytes,
            padding.PKCS1v15(),
            algorithm,
        )
    name = str(chain[0].subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
    assert name.split("@")[2] == "中国银联股份有限公司", "owner"
    key = chain[0].public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    key.verify(
        base64.b64decode(fields["signature"], validate=True),
        digest(fields),
        padding.PKCS1v15(),
        hashes.SHA256(),
    )
    return fields


def digest(fields: dict[str, str]) -> bytes:
    """The hex digits under the signature."""
    pairs = sorted(
        (name, value) for name, value in fields.items() if name != "signature" and value.strip()
    )
    text = "&".join("=".join(pair) for pair in pairs)
    return hashlib.sha256(text.encode(fields.get("encoding", "UTF-8"))).hexdigest().encode()


class UnionClient:
    """Knows what the merchant's console hands out: number, .pfx, password, root, middle."""

    def __init__(self, credentials: dict[str, Any]) -> None:
        self.mer_id = credentials["merchant_no"]
        self.root = credentials["root_certificate"]
        self.middle = credentials["middle_certificate"]
        key, certificate, _ = pkcs12.load_key_and_certificates(
            base64.b64decode(credentials["certificate"]),
            credentials["certificate_password"].encode(),
        )
        assert isinstance(key, rsa.RSAPrivateKey)
        assert certificate is not None
        self.key, self.certificate = key, certificate
        self.http = Client()
        self.raw = b""

    def sign(self, fields: dict[str, str]) -> dict[str, str]:
        """The fields with certId and signature."""
        whole = {**fields, "certId": str(self.certificate.serial_number)}
        raw = self.key.sign(digest(whole), padding.PKCS1v15(), hashes.SHA256())
        return {**whole, "signature": base64.b64encode(raw).decode()}

    def post(self, path: str, fields: dict[str, str]) -> Any:
        """A form POST; fields in the encoding they name."""
        return self.http.post(
            path,
            urlencode(fields, encoding=fields.get("encoding", "UTF-8")),
            content_type="application/x-www-form-urlencoded;charset=utf-8",
        )

    def call(self, path: str, fields: dict[str, str]) -> dict[str, str]:
        """Sign, send, and check the answer."""
        answer = self.post(path, self.sign(fields))
        assert answer.status_code == 200
        self.raw = answer.content
        return checked(parse_raw(answer.content), self.root, self.middle)

    def open_post(self, body: bytes) -> dict[str, str]:
        """A notice, or the browser's return: an ordinary form."""
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, strict_parsing=True)
        return checked(dict(pairs), self.root, self.middle)

    # --- messages ---------------------------------------------------------------------------------

    def base(self, kind: str, subtype: str, **more: str) -> dict[str, str]:
        """What all messages have; a field set to "" is left out."""
        fields = {
            "version": "5.1.0",
            "encoding": "UTF-8",
            "signMethod": "01",
            "accessType": "0",
            "bizType": "000000",
            "merId": self.mer_id,
            "txnType": kind,
            "txnSubType": subtype,
            "txnTime": beijing(datetime.now(UTC)),
            **more,
        }
        return {name: value for name, value in fields.items() if value}

    def transaction(
        self, kind: str, subtype: str, order_id: str, amount: int = 2500, **more: str
    ) -> dict[str, str]:
        """One that moves money."""
        return self.base(
            kind,
            subtype,
            **{
                "orderId": order_id,
                "txnAmt": str(amount),
                "channelType": "08",
                "currencyCode": "156",
                "backUrl": NOTIFY,
                **more,
            },
        )

    def apply_qr(self, order_id: str = "P2026000001", amount: int = 2500, **more: str) -> str:
        """A code to show; the message as sent is kept in ``self.sent``."""
        timeout = beijing(datetime.now(UTC) + timedelta(minutes=15))
        self.sent = self.transaction(
            "01", "07", order_id, amount, **{"payTimeout": timeout, **more}
        )
        answer = self.call(BACK, self.sent)
        assert answer["respCode"] == "00", answer
        return answer["qrCode"]

    def query(self, order_id: str, txn_time: str, path: str = QUERY) -> dict[str, str]:
        """The state of a transaction, by its own orderId and txnTime."""
        return self.call(path, self.base("00", "00", orderId=order_id, txnTime=txn_time))

    def give_back(
        self, order_id: str, query_id: str, amount: int, kind: str = "04", **more: str
    ) -> dict[str, str]:
        """A refund, or with kind 31 a cancellation."""
        self.sent = self.transaction(kind, "00", order_id, amount, origQryId=query_id, **more)
        return self.call(BACK, self.sent)

    def file(self, settle_date: str, **more: str) -> dict[str, str]:
        """The answer to a file's request."""
        fields = self.base("76", "01", settleDate=settle_date, fileType="00", **more)
        return self.call(FILE, fields)

    @staticmethod
    def members(content: str) -> dict[str, bytes]:
        """The files inside fileContent: base64 of zlib of a zip."""
        with zipfile.ZipFile(io.BytesIO(zlib.decompress(base64.b64decode(content)))) as zipped:
            return {name: zipped.read(name) for name in zipped.namelist()}
