"""A Shouqianba merchant's own client: knows the credentials only, and signs with ``hashlib`` and ``cryptography``.

It shares no line with the simulator's signing code, so a mistake there cannot cancel itself out here.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from django.test import Client
from typing_extensions import override

Fields = dict[str, Any]
NOTIFY = "http://127.0.0.1:9/notify"


class ShouClient:
    """One device of a merchant. ``sn`` and ``key`` are its terminal's, once activated."""

    def __init__(self, credentials: Fields, device: str = "till-1") -> None:
        self.credentials, self.device = credentials, device
        self.sn = self.key = ""
        self.http = Client()
        public = serialization.load_pem_public_key(credentials["public_key"].encode())
        assert isinstance(public, rsa.RSAPublicKey)
        self.public = public

    @override
    def __repr__(self) -> str:
        return f"<ShouClient {self.sn}>"

    # --- the wire

    def post(self, path: str, body: Any, *, sn: str, key: str, **headers: str) -> Any:
        """Sign and send, the response as it is."""
        raw = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        signature = hashlib.md5(raw + key.encode(), usedforsecurity=False).hexdigest()
        return self.http.post(
            f"/shouqianba{path}",
            data=raw,
            content_type="application/json",
            headers={"Authorization": f"{sn} {signature}", **headers},
        )

    def envelope(self, path: str, body: Any) -> Fields:
        """The whole answer to a terminal's call."""
        response = self.post(path, body, sn=self.sn, key=self.key)
        assert response.status_code == 200
        assert response.headers["Content-Type"].startswith("application/json")
        answer: Fields = json.loads(response.content)
        return answer

    def call(self, action: str, **body: Any) -> Fields:
        """The biz_response of /upay/v2/<action>."""
        answer = self.envelope(f"/upay/v2/{action}", {"terminal_sn": self.sn, **body})
        assert answer["result_code"] == "200", answer
        biz: Fields = answer["biz_response"]
        return biz

    # --- terminals

    def activate(self, code: str = "", **more: Any) -> Fields:
        """Become a terminal; the envelope."""
        body = {
            "app_id": self.credentials["app_id"],
            "code": code or self.credentials["activation_code"],
            "device_id": self.device,
            **more,
        }
        response = self.post(
            "/terminal/activate",
            body,
            sn=self.credentials["vendor_sn"],
            key=self.credentials["vendor_key"],
        )
        return self._keep(json.loads(response.content))

    def check_in(self, *, key: str = "", keep: bool = True) -> Fields:
        """Ask for today's key, with the current one or another; the envelope."""
        body = {"terminal_sn": self.sn, "device_id": self.device}
        response = self.post("/terminal/checkin", body, sn=self.sn, key=key or self.key)
        if response.status_code != 200:
            return {"lost": response.status_code}
        answer: Fields = json.loads(response.content)
        return self._keep(answer) if keep else answer

    def _keep(self, answer: Fields) -> Fields:
        if answer["result_code"] == "200":
            self.sn = answer["biz_response"]["terminal_sn"]
            self.key = answer["biz_response"]["terminal_key"]
        return answer

    # --- payments

    def precreate(
        self, number: str, *, payway: str = "3", amount: str = "2500", **more: Any
    ) -> Fields:
        """A dynamic code."""
        return self.call("precreate", **self.trade(number, amount, payway=payway, **more))

    def pay(self, number: str, digits: str, *, amount: str = "2500", **more: Any) -> Fields:
        """Take a payer's code."""
        return self.call("pay", **self.trade(number, amount, dynamic_id=digits, **more))

    def trade(self, number: str, amount: str, **more: Any) -> Fields:
        """The common fields of a payment."""
        return {
            "client_sn": number,
            "total_amount": amount,
            "subject": "门店消费",
            "operator": "收银员",
            "notify_url": NOTIFY,
            **more,
        }

    def query(self, number: str, **more: Any) -> Fields:
        """The data of an order."""
        biz = self.call("query", client_sn=number, **more)
        assert biz["result_code"] == "SUCCESS", biz
        data: Fields = biz["data"]
        return data

    def refund(self, number: str, refund_no: str, amount: str, **more: Any) -> Fields:
        """Give back."""
        return self.call(
            "refund",
            client_sn=number,
            refund_request_no=refund_no,
            refund_amount=amount,
            operator="店长",
            **more,
        )

    def cancel(self, number: str, action: str = "cancel") -> Fields:
        """Undo."""
        return self.call(action, client_sn=number)

    # --- WAP2 and callbacks

    def gateway_sign(self, fields: dict[str, str]) -> str:
        """MD5 of the sorted pairs and the key, in capitals."""
        pairs = [f"{name}={value}" for name, value in sorted(fields.items()) if value != ""]
        text = "&".join([*pairs, f"key={self.key}"])
        return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest().upper()

    def link(self, number: str, **more: str) -> str:
        """A signed link to the gateway."""
        fields = {
            "terminal_sn": self.sn,
            "client_sn": number,
            "total_amount": "2500",
            "subject": "门店消费 & 茶",
            "operator": "收银员",
            "return_url": "http://localhost:8000/pay/x",
            **more,
        }
        fields.setdefault("sign", self.gateway_sign(fields))
        return "/shouqianba/qr/gateway?" + urlencode(fields)

    def returned(self, location: str) -> dict[str, str]:
        """What a return redirect says, its signature checked."""
        fields = dict(parse_qsl(urlsplit(location).query, keep_blank_values=True))
        assert fields.pop("sign") == self.gateway_sign(fields)
        return fields

    def verified(self, headers: dict[str, str], body: bytes) -> Fields:
        """A callback's JSON. Raises InvalidSignature."""
        sn, _, signature = headers["Authorization"].partition(" ")
        self.public.verify(base64.b64decode(signature), body, padding.PKCS1v15(), hashes.SHA256())
        told: Fields = json.loads(body)
        assert sn == told["terminal_sn"]
        return told
