"""A merchant's clients of Alipay for the tests, written from the documentation and on ``cryptography`` alone."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any
from urllib.parse import quote_plus

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from django.test import Client
from typing_extensions import override

from apps.simulator.models import Merchant


class Shop:
    """Knows the keys of key mode."""

    def __init__(self, merchant: Merchant) -> None:
        self.merchant = merchant
        key = serialization.load_pem_private_key(
            merchant.config["private_key"].encode(), password=None
        )
        public = serialization.load_pem_public_key(merchant.config["alipay_public_key"].encode())
        assert isinstance(key, rsa.RSAPrivateKey)
        assert isinstance(public, rsa.RSAPublicKey)
        self.key, self.public, self.http = key, public, Client()
        self.raw = b""

    @override
    def __repr__(self) -> str:
        return f"<Shop {self.merchant}>"

    def common(self, method: str, **more: str) -> dict[str, str]:
        """The common parameters, unsigned."""
        return {
            "app_id": self.merchant.app_id,
            "method": method,
            "charset": "utf-8",
            "sign_type": "RSA2",
            "timestamp": "2026-05-01 10:00:00",
            "version": "1.0",
            **more,
        }

    def signed(self, params: dict[str, str], charset: str = "utf-8") -> dict[str, str]:
        """The parameters with their signature."""
        text = "&".join(f"{key}={params[key]}" for key in sorted(params) if params[key])
        raw = self.key.sign(text.encode(charset), padding.PKCS1v15(), hashes.SHA256())
        return {**params, "sign": base64.b64encode(raw).decode()}

    def send(self, params: dict[str, str], charset: str = "utf-8") -> Any:
        """POST: common parameters in the query, biz_content in the body. Returns the JSON."""
        query = dict(params)
        body = {key: query.pop(key) for key in ("biz_content",) if key in query}
        response = self.http.post(
            "/alipay/gateway.do?" + encode(query, charset),
            data=encode(body, charset),
            content_type="application/x-www-form-urlencoded",
        )
        self.raw = response.content
        self.response = response
        return json.loads(response.content.decode(charset))

    def call(self, method: str, biz: dict[str, Any] | None = None, **more: str) -> dict[str, Any]:
        """One call; checks the answer's signature over the raw substring, then returns the node."""
        content = {} if biz is None else {"biz_content": json.dumps(biz, ensure_ascii=False)}
        answer = self.send(self.signed({**self.common(method, **more), **content}))
        node = method.replace(".", "_") + "_response"
        self.check(self.raw, node, answer["sign"])
        fields: dict[str, Any] = answer[node]
        return fields

    def check(self, raw: bytes, node: str, signature: str) -> None:
        """Raise InvalidSignature unless the node's exact bytes are signed by the platform."""
        start = raw.index(f'"{node}":'.encode()) + len(node) + 3
        end = raw.rindex(b',"sign":"')
        self.public.verify(
            base64.b64decode(signature), raw[start:end], padding.PKCS1v15(), hashes.SHA256()
        )


def encode(fields: dict[str, str], charset: str) -> str:
    """Form encoding in a charset."""
    return "&".join(f"{key}={quote_plus(value.encode(charset))}" for key, value in fields.items())


def serial_number(certificate: x509.Certificate) -> str:
    """MD5 of issuer (as RFC 4514 writes it) and decimal serial number."""
    text = certificate.issuer.rfc4514_string() + str(certificate.serial_number)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def chain(pem: str) -> list[x509.Certificate]:
    """All certificates of a file."""
    return x509.load_pem_x509_certificates(pem.encode())


class CertificateShop:
    """Knows the credentials that the console hands out, and nothing else."""

    def __init__(self, credentials: dict[str, Any]) -> None:
        self.credentials = credentials
        self.app = chain(credentials["app_certificate"])[0]
        self.alipay = chain(credentials["alipay_certificate"])
        self.roots = chain(credentials["alipay_root_certificate"])
        self.raw = b""

    def root_serial(self) -> str:
        """Only roots with an RSA signature count."""
        counted = [one for one in self.roots if isinstance(one.public_key(), rsa.RSAPublicKey)]
        return "_".join(serial_number(one) for one in counted)

    def params(self, method: str, biz: dict[str, Any], **more: str) -> dict[str, str]:
        """The signed parameters of a call; an empty value in ``more`` leaves a parameter out."""
        fields = {
            "app_id": self.credentials["app_id"],
            "method": method,
            "charset": "utf-8",
            "sign_type": "RSA2",
            "timestamp": "2026-05-01 10:00:00",
            "version": "1.0",
            "app_cert_sn": serial_number(self.app),
            "alipay_root_cert_sn": self.root_serial(),
            "biz_content": json.dumps(biz, ensure_ascii=False),
            **more,
        }
        fields = {name: text for name, text in fields.items() if text}
        key = serialization.load_pem_private_key(self.credentials["private_key"].encode(), None)
        assert isinstance(key, rsa.RSAPrivateKey)
        text = "&".join(f"{name}={fields[name]}" for name in sorted(fields))
        signature = key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
        return {**fields, "sign": base64.b64encode(signature).decode()}

    def send(self, method: str, biz: dict[str, Any], **more: str) -> dict[str, Any]:
        """The whole answer, unchecked."""
        fields = self.params(method, biz, **more)
        query = "&".join(f"{name}={quote_plus(text)}" for name, text in fields.items())
        self.raw = Client().get(f"/alipay/gateway.do?{query}").content
        answer: dict[str, Any] = json.loads(self.raw)
        return answer

    def signed_by(self, answer: dict[str, Any], certificate: x509.Certificate) -> None:
        """Raise InvalidSignature unless this certificate's key signed the answer's node."""
        start = self.raw.index(b'_response":') + len(b'_response":')
        end = self.raw.index(b',"alipay_cert_sn":"')
        key = certificate.public_key()
        assert isinstance(key, rsa.RSAPublicKey)
        key.verify(
            base64.b64decode(answer["sign"]),
            self.raw[start:end],
            padding.PKCS1v15(),
            hashes.SHA256(),
        )

    def download(self, serial: str) -> list[x509.Certificate]:
        """The certificates behind a serial number that is not known yet."""
        answer = self.send("alipay.open.app.alipaycert.download", {"alipay_cert_sn": serial})
        node = answer["alipay_open_app_alipaycert_download_response"]
        return chain(base64.b64decode(node["alipay_cert_content"]).decode())
