"""A small WeChat Pay server for tests, behind httpx.MockTransport, with signing code of its own."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from typing import Any

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from apps.platforms.gateway import Credentials, RawNotification

NOW = datetime(2026, 5, 2, 3, 0, tzinfo=UTC)
BEIJING = timezone(timedelta(hours=8))
PREFIX = "/wechatpay"


@lru_cache
def key(name: str) -> rsa.RSAPrivateKey:
    """A key pair by name, made once a run."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def private_pem(name: str) -> str:
    return (
        key(name)
        .private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        .decode()
    )


def public_pem(name: str) -> str:
    return (
        key(name)
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


def certificate(
    name: str,
    *,
    number: int = 0x0102030405060708090A0B0C0D0E0F1011121314,
    days: tuple[int, int] = (-1, 1),
) -> tuple[str, str]:
    """A platform certificate and its serial number; ``days`` from NOW are its first and last."""
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Tenpay.com Root CA")])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key(name).public_key())
        .serial_number(number)
        .not_valid_before(NOW + timedelta(days=days[0]))
        .not_valid_after(NOW + timedelta(days=days[1]))
        .sign(key(name), hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM).decode()
    return pem, f"{number:040X}"


def rsa_sign(name: str, message: bytes) -> str:
    return base64.b64encode(key(name).sign(message, padding.PKCS1v15(), hashes.SHA256())).decode()


def credentials() -> Credentials:
    return Credentials(
        app_id="wx1a2b3c4d5e6f7a8b",
        merchant_no="1900000109",
        keys={
            "private_key": private_pem("wechat merchant"),
            "serial_no": "5157F09EFDC096DE15EBE81A47057A7232F1B8E1",
            "api_v3_key": "0123456789abcdef0123456789ABCDEF",
            "public_key_id": "PUB_KEY_ID_0119000001092026050100000000",
            "public_key": public_pem("wechat platform"),
            "app_secret": "s3cret",
        },
    )


@dataclass
class WechatpayServer:
    """Orders and refunds by number, plus what shall go wrong next."""

    ours: Credentials = field(default_factory=credentials)
    orders: dict[str, dict[str, Any]] = field(default_factory=dict)
    refunds: dict[str, dict[str, Any]] = field(default_factory=dict)
    bills: dict[str, bytes] = field(default_factory=dict)
    #: Called in place of, or around, the next answers.
    faults: list[Callable[[httpx.Request], httpx.Response]] = field(default_factory=list)
    requests: list[httpx.Request] = field(default_factory=list)
    signer: str = "wechat platform"
    serial: str = ""
    spoil: Callable[[bytes], bytes] | None = None
    skew: int = 0
    known_secret: str = "s3cret"
    #: Changes the bytes of answers and of a notice's content before they are signed.
    rewrite: Callable[[bytes], bytes] | None = None
    #: Platform certificates as PEM, which the merchant may fetch; None for a merchant with public keys only.
    certificates: list[str] | None = None
    #: What the next payer's code does: ``SUCCESS`` or ``USERPAYING``.
    code_state: str = "SUCCESS"
    #: What an abnormal refund's encrypted fields held.
    opened: dict[str, str] = field(default_factory=dict)
    #: Whose keys open what was encrypted for the platform, by serial.
    keys: dict[str, str] = field(default_factory=dict)

    def handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if self.faults:
            return self.faults.pop(0)(request)
        path = request.url.raw_path.decode()
        if path.startswith("/sns/"):
            return self._token(request)
        assert path.startswith(PREFIX)
        target = path.removeprefix(PREFIX)
        refusal = self._check(request, target)
        if refusal is not None:
            return refusal
        return self._route(request, target)

    def _check(self, request: httpx.Request, target: str) -> httpx.Response | None:
        header = request.headers["authorization"]
        assert header.startswith("WECHATPAY2-SHA256-RSA2048 ")
        parts = dict(re.findall(r'(\w+)="([^"]*)"', header))
        assert parts["mchid"] == self.ours.merchant_no
        assert request.headers["accept"] == "application/json"
        assert request.headers["user-agent"]
        if parts["serial_no"] != self.ours.keys["serial_no"]:
            return self.refuse(401, "SIGN_ERROR", "商户证书序列号有误")
        lines = [request.method, target, parts["timestamp"], parts["nonce_str"]]
        message = "\n".join(lines).encode() + b"\n" + request.content + b"\n"
        try:
            key("wechat merchant").public_key().verify(
                base64.b64decode(parts["signature"]), message, padding.PKCS1v15(), hashes.SHA256()
            )
        except Exception:  # noqa: BLE001  # whatever is wrong with it, the answer is the same
            return self.refuse(401, "SIGN_ERROR", "签名错误")
        return None

    def refuse(self, status: int, code: str, message: str = "no") -> httpx.Response:
        return httpx.Response(status, json={"code": code, "message": message})

    def answer(self, status: int, body: Any = None) -> httpx.Response:
        raw = b"" if body is None else json.dumps(body, ensure_ascii=False).encode()
        if self.rewrite and raw:
            raw = self.rewrite(raw)
        stamp = str(int(NOW.timestamp()) + self.skew)
        signature = rsa_sign(self.signer, f"{stamp}\nabc\n".encode() + raw + b"\n")
        headers = {
            "Wechatpay-Timestamp": stamp,
            "Wechatpay-Nonce": "abc",
            "Wechatpay-Serial": self.serial or self.ours.keys["public_key_id"],
            "Wechatpay-Signature": signature,
        }
        return httpx.Response(
            status, content=self.spoil(raw) if self.spoil else raw, headers=headers
        )

    def _route(self, request: httpx.Request, target: str) -> httpx.Response:
        path = target.partition("?")[0]
        body = json.loads(request.content) if request.content else {}
        if match := re.fullmatch(r"/v3/pay/transactions/(jsapi|native|h5)", path):
            return self._create(match.group(1), body)
        if path == "/v3/pay/transactions/codepay":
            return self._code(body)
        if match := re.fullmatch(r"/v3/pay/transactions/out-trade-no/(\w+)/reverse", path):
            return self._reverse(match.group(1), body)
        if match := re.fullmatch(r"/v3/pay/transactions/out-trade-no/(\w+)(/close)?", path):
            return self._order(match.group(1), bool(match.group(2)))
        if match := re.fullmatch(r"/v3/refund/domestic/refunds/(\w+)/apply-abnormal-refund", path):
            return self._abnormal(match.group(1), body, request.headers)
        if path == "/v3/certificates":
            return self._certificates()
        if path == "/v3/refund/domestic/refunds":
            return self._refund(body)
        if path.startswith("/v3/refund/domestic/refunds/"):
            refund = self.refunds.get(path.rpartition("/")[2])
            return self.answer(200, refund) if refund else self.refuse(404, "RESOURCE_NOT_EXISTS")
        if path == "/v3/security/echo":
            return self.answer(200, body)
        if path.startswith("/v3/bill/"):
            return self._bill(path, dict(request.url.params))
        if path == "/v3/billdownload/file":
            return httpx.Response(
                200, content=gzip.compress(self.bills[request.url.params["token"]])
            )
        return httpx.Response(404)

    def _create(self, product: str, body: dict[str, Any]) -> httpx.Response:
        assert (body["appid"], body["mchid"]) == (self.ours.app_id, self.ours.merchant_no)
        number = body["out_trade_no"]
        known = self.orders.setdefault(number, {"request": body, "state": "NOTPAY"})
        if known["request"] != body:
            return self.refuse(403, "OUT_TRADE_NO_USED")
        if product == "native":
            return self.answer(200, {"code_url": f"weixin://wxpay/bizpayurl?pr={number}"})
        if product == "h5":
            assert body["scene_info"]["payer_client_ip"]
            return self.answer(
                200, {"h5_url": f"https://wx.tenpay.com/checkmweb?prepay_id={number}"}
            )
        assert body["payer"]["openid"]
        return self.answer(200, {"prepay_id": f"wx{number}"})

    def _code(self, body: dict[str, Any]) -> httpx.Response:
        assert (body["appid"], body["mchid"]) == (self.ours.app_id, self.ours.merchant_no)
        assert "notify_url" not in body
        number, code = body["out_trade_no"], body["payer"]["auth_code"]
        if number in self.orders:
            return self.refuse(403, "OUT_TRADE_NO_USED")
        if any(known.get("code") == code for known in self.orders.values()):
            return self.refuse(400, "AUTH_CODE_INVALID", "每个二维码仅限使用一次，请刷新再试")
        self.orders[number] = {"request": body, "state": self.code_state, "code": code}
        return self.answer(200, self.transaction(number))

    def _reverse(self, number: str, body: dict[str, Any]) -> httpx.Response:
        assert body == {"appid": self.ours.app_id, "mchid": self.ours.merchant_no}
        known = self.orders.get(number)
        if known is None:
            return self.refuse(404, "ORDER_NOT_EXIST")
        if "code" not in known:
            return self.refuse(400, "INVALID_REQUEST", "非付款码支付订单，不支持撤销")
        known["state"] = "REVOKED"
        return self.answer(200, {**body, "out_trade_no": number})

    def _abnormal(
        self, refund_id: str, body: dict[str, Any], headers: httpx.Headers
    ) -> httpx.Response:
        number = body["out_refund_no"]
        known = self.refunds.get(number)
        if known is None or known["refund_id"] != refund_id:
            return self.refuse(404, "RESOURCE_NOT_EXISTS")
        if body["type"] == "USER_BANK_CARD":
            # Only with the key that the header names do the fields open.
            serial = headers["wechatpay-serial"]
            held = {self.ours.keys["public_key_id"]: "wechat platform", **self.keys}
            for name in ("bank_account", "real_name"):
                self.opened[name] = self.open(body[name], held[serial])
        else:
            assert body.keys() == {"out_refund_no", "type"}
        known["status"] = "PROCESSING"
        return self.answer(200, known)

    def open(self, sealed: str, name: str) -> str:
        """A field that was encrypted with the public key of this name."""
        oaep = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)  # noqa: S303  # as prescribed
        return key(name).decrypt(base64.b64decode(sealed), oaep).decode()

    def _certificates(self) -> httpx.Response:
        if self.certificates is None:
            return self.refuse(404, "RESOURCE_NOT_EXISTS", "无可用的平台证书")
        data = []
        for pem in self.certificates:
            nonce = "abcdef012345"
            sealed = AESGCM(self.ours.keys["api_v3_key"].encode()).encrypt(
                nonce.encode(), pem.encode(), b"certificate"
            )
            made = x509.load_pem_x509_certificate(pem.encode())
            data.append(
                {
                    "serial_no": f"{made.serial_number:040X}",
                    "effective_time": made.not_valid_before_utc.astimezone(BEIJING).isoformat(),
                    "expire_time": made.not_valid_after_utc.astimezone(BEIJING).isoformat(),
                    "encrypt_certificate": {
                        "algorithm": "AEAD_AES_256_GCM",
                        "nonce": nonce,
                        "associated_data": "certificate",
                        "ciphertext": base64.b64encode(sealed).decode(),
                    },
                }
            )
        return self.answer(200, {"data": data})

    def pay(self, number: str) -> None:
        self.orders[number]["state"] = "SUCCESS"

    def transaction(self, number: str) -> dict[str, Any]:
        known = self.orders[number]
        found: dict[str, Any] = {
            "appid": self.ours.app_id,
            "mchid": self.ours.merchant_no,
            "out_trade_no": number,
            "trade_state": known["state"],
            "trade_state_desc": "说明",
            "amount": {"total": known["request"]["amount"]["total"], "currency": "CNY"},
        }
        if known["state"] in {"SUCCESS", "REFUND"}:
            found |= {
                "transaction_id": f"42{number}",
                "trade_type": "NATIVE",
                "success_time": "2026-05-01T10:21:33+08:00",
                "payer": {"openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"},
            }
        return found

    def _order(self, number: str, close: bool) -> httpx.Response:
        if number not in self.orders:
            return self.refuse(404, "ORDER_NOT_EXIST")
        if not close:
            return self.answer(200, self.transaction(number))
        if "code" in self.orders[number]:
            return self.refuse(400, "INVALID_REQUEST", "付款码支付订单不支持关单")
        if self.orders[number]["state"] != "NOTPAY":
            return self.refuse(400, "ORDER_PAID")
        self.orders[number]["state"] = "CLOSED"
        return self.answer(204)

    def _refund(self, body: dict[str, Any]) -> httpx.Response:
        number, order = body["out_refund_no"], body["out_trade_no"]
        if order not in self.orders:
            return self.refuse(404, "RESOURCE_NOT_EXISTS")
        self.refunds.setdefault(
            number,
            {
                "refund_id": f"50{number}",
                "out_refund_no": number,
                "transaction_id": f"42{order}",
                "out_trade_no": order,
                "status": "PROCESSING",
                "amount": {**body["amount"], "payer_refund": body["amount"]["refund"]},
            },
        )
        self.orders[order]["state"] = "REFUND"
        return self.answer(200, self.refunds[number])

    def finish_refund(self, number: str, status: str = "SUCCESS") -> None:
        self.refunds[number]["status"] = status
        if status == "SUCCESS":
            self.refunds[number]["success_time"] = "2026-05-01T15:42:00+08:00"

    def _bill(self, path: str, query: dict[str, str]) -> httpx.Response:
        assert query["tar_type"] == "GZIP"
        token = f"{path}:{query['bill_date']}"
        if token not in self.bills:
            return self.refuse(400, "NO_STATEMENT_EXIST")
        return self.answer(
            200,
            {
                "hash_type": "SHA1",
                "hash_value": hashlib.sha1(self.bills[token], usedforsecurity=False).hexdigest(),
                "download_url": f"https://pay.test{PREFIX}/v3/billdownload/file?token={token}",
            },
        )

    def _token(self, request: httpx.Request) -> httpx.Response:
        query = request.url.params
        if query["secret"] != self.known_secret:
            return httpx.Response(200, json={"errcode": 40125, "errmsg": "invalid appsecret"})
        if query["code"] != "good":
            return httpx.Response(200, json={"errcode": 40029, "errmsg": "invalid code"})
        return httpx.Response(200, json={"openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"})

    def notice(
        self,
        event: str,
        content: dict[str, Any],
        *,
        original: str = "transaction",
        at: datetime = NOW,
    ) -> RawNotification:
        nonce = "0123456789ab"
        plain = json.dumps(content).encode()
        sealed = AESGCM(self.ours.keys["api_v3_key"].encode()).encrypt(
            nonce.encode(), self.rewrite(plain) if self.rewrite else plain, original.encode()
        )
        body = json.dumps(
            {
                "id": "EV-1",
                "create_time": "2026-05-01T10:21:40+08:00",
                "event_type": event,
                "resource_type": "encrypt-resource",
                "summary": "支付成功",
                "resource": {
                    "original_type": original,
                    "algorithm": "AEAD_AES_256_GCM",
                    "ciphertext": base64.b64encode(sealed).decode(),
                    "associated_data": original,
                    "nonce": nonce,
                },
            },
            ensure_ascii=False,
        ).encode()
        return self.signed(body, at)

    def signed(self, body: bytes, at: datetime = NOW) -> RawNotification:
        stamp = str(int(at.timestamp()))
        return RawNotification(
            headers={
                "wechatpay-timestamp": stamp,
                "wechatpay-nonce": "xyz",
                "wechatpay-serial": self.serial or self.ours.keys["public_key_id"],
                "wechatpay-signature": rsa_sign(
                    self.signer, f"{stamp}\nxyz\n".encode() + body + b"\n"
                ),
            },
            query="",
            body=body,
            received_at=NOW,
        )
