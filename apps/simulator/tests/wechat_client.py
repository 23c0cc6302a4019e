"""A merchant's client of WeChat Pay for the tests, written from the documentation alone.

It shares no signing code with the simulator: messages are put together here, and ``cryptography`` is
called directly.
"""

from __future__ import annotations

import base64
import json
import secrets
import time
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.x509 import load_pem_x509_certificate
from django.test import Client

from apps.simulator.models import Merchant


@lru_cache(maxsize=64)
def _private_key(pem: str) -> rsa.RSAPrivateKey:
    """Loading checks the key, which takes longer than signing with it."""
    key = serialization.load_pem_private_key(pem.encode(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


def _verify(key_pem: str, message: bytes, signature: str) -> None:
    """Raises InvalidSignature or binascii.Error."""
    key = serialization.load_pem_public_key(key_pem.encode())
    assert isinstance(key, rsa.RSAPublicKey)
    key.verify(
        base64.b64decode(signature, validate=True), message, padding.PKCS1v15(), hashes.SHA256()
    )


class WechatClient:
    """Signs requests, verifies answers, opens notices."""

    def __init__(self, merchant: Merchant) -> None:
        self.merchant = merchant
        self.config = merchant.config
        self.django = Client()
        self.user_agent = "test/1.0"
        self.accept = "application/json"
        self.clock_offset = 0
        self.extra: dict[str, str] = {}

    def authorization(self, method: str, target: str, body: bytes) -> str:
        """The Authorization header for a request."""
        key = _private_key(self.config["private_key"])
        stamp, nonce = str(int(time.time()) + self.clock_offset), secrets.token_hex(16)
        message = "\n".join([method, target, stamp, nonce, body.decode(), ""]).encode()
        signature = base64.b64encode(
            key.sign(message, padding.PKCS1v15(), hashes.SHA256())
        ).decode()
        return (
            f'WECHATPAY2-SHA256-RSA2048 mchid="{self.merchant.merchant_no}",nonce_str="{nonce}",'
            f'signature="{signature}",timestamp="{stamp}",serial_no="{self.config["serial_no"]}"'
        )

    def call(
        self,
        method: str,
        target: str,
        body: dict[str, Any] | None = None,
        *,
        authorization: str | None = None,
    ) -> Any:
        """Send one request; returns Django's test response. ``target`` starts at /v3/."""
        raw = b"" if body is None else json.dumps(body, ensure_ascii=False).encode()
        headers = {
            "User-Agent": self.user_agent,
            "Accept": self.accept,
            "Authorization": self.authorization(method, target, raw)
            if authorization is None
            else authorization,
            **self.extra,
        }
        return self.send(
            method, target, raw, {name: text for name, text in headers.items() if text}
        )

    def send(self, method: str, target: str, raw: bytes, headers: dict[str, str]) -> Any:
        """Through Django's test client; the process tests send over HTTP."""
        return self.django.generic(
            method, f"/wechatpay{target}", raw, content_type="application/json", headers=headers
        )

    def get(self, target: str) -> Any:
        """A signed GET."""
        return self.call("GET", target)

    def post(self, target: str, body: dict[str, Any]) -> Any:
        """A signed POST."""
        return self.call("POST", target, body)

    def verify(self, headers: Any, body: bytes, *, certificate: bool = False) -> None:
        """Check the platform's signature over a body. Raises InvalidSignature."""
        pem = self.config["public_key"]
        serial = self.config["public_key_id"]
        if certificate:
            parsed = load_pem_x509_certificate(self.config["platform_certificate"].encode())
            serial = f"{parsed.serial_number:040X}"
            pem = (
                parsed.public_key()
                .public_bytes(
                    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
                )
                .decode()
            )
        assert headers["Wechatpay-Serial"] == serial
        assert abs(time.time() - int(headers["Wechatpay-Timestamp"])) < 300
        message = (
            headers["Wechatpay-Timestamp"].encode()
            + b"\n"
            + headers["Wechatpay-Nonce"].encode()
            + b"\n"
            + body
            + b"\n"
        )
        _verify(pem, message, headers["Wechatpay-Signature"])

    def open_resource(self, resource: dict[str, Any]) -> dict[str, Any]:
        """The plaintext of an encrypted resource."""
        opened = AESGCM(self.config["api_v3_key"].encode()).decrypt(
            resource["nonce"].encode(),
            base64.b64decode(resource["ciphertext"]),
            resource["associated_data"].encode(),
        )
        plain: dict[str, Any] = json.loads(opened)
        return plain

    def order(self, number: str, total: int = 2500, **fields: Any) -> dict[str, Any]:
        """The body of a Native order."""
        return {
            "appid": self.merchant.app_id,
            "mchid": self.merchant.merchant_no,
            "description": "门店消费",
            "out_trade_no": number,
            "notify_url": "http://127.0.0.1:9/notify",
            "amount": {"total": total, "currency": "CNY"},
            **fields,
        }

    def native(self, number: str, total: int = 2500, **fields: Any) -> str:
        """Place a Native order and return its code_url."""
        response = self.post("/v3/pay/transactions/native", self.order(number, total, **fields))
        assert response.status_code == 200, response.content
        return str(response.json()["code_url"])

    def state(self, number: str) -> dict[str, Any]:
        """Query an order; the transaction object."""
        response = self.get(
            f"/v3/pay/transactions/out-trade-no/{number}?mchid={self.merchant.merchant_no}"
        )
        assert response.status_code == 200, response.content
        body: dict[str, Any] = response.json()
        return body

    def refund(
        self, number: str, refund_no: str, amount: int, total: int = 2500, **fields: Any
    ) -> Any:
        """Ask for a refund; the raw response."""
        return self.post(
            "/v3/refund/domestic/refunds",
            {
                "out_trade_no": number,
                "out_refund_no": refund_no,
                "amount": {"refund": amount, "total": total, "currency": "CNY"},
                **fields,
            },
        )

    def download(self, url: str) -> Any:
        """Fetch a bill's download address."""
        parts = urlsplit(url)
        return self.get(f"{parts.path.removeprefix('/wechatpay')}?{parts.query}")
