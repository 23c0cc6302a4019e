"""A platform in a process of its own that speaks as WeChat Pay does, as little of it as questions about orders need.

``python -m bench.frame.wechat`` reads one line with its keys and rules, answers with its port, and from then on serves. It
checks each request's signature and signs each answer, with signing code of its own. An order is paid when its number is
divisible by ``paid_each``; nobody needs to open it first.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from bench.frame.processes import answer, orders

#: As long as a call to a real platform takes.
DELAY = 0.1
AMOUNT = 1250
PAID_AT = "2026-11-24T12:00:00+08:00"

_TARGET = re.compile(r"/v3/pay/transactions/out-trade-no/([0-9A-Za-z_-]+)\?mchid=(\d+)")
_PART = re.compile(r'(\w+)="([^"]*)"')


def key_pair() -> tuple[str, str]:
    """A private and its public key, PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private.decode(), public.decode()


@dataclass
class Shop:
    """One merchant's number, application and public key."""

    app_id: str
    key: rsa.RSAPublicKey


@dataclass
class Platform:
    """Knows its merchants and counts what it was asked."""

    key: rsa.RSAPrivateKey
    key_id: str
    shops: dict[str, Shop]
    delay: float
    paid_each: int
    asked: dict[str, int] = field(default_factory=dict)
    refused: int = 0
    under_way: int = 0
    most_under_way: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, request after request."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.under_way += 1
                self.most_under_way = max(self.most_under_way, self.under_way)
                began = time.monotonic()
                status, body, headers = self.answer(head.decode("latin-1"))
                # The work is part of the time that the platform takes, as it is for a real one.
                await asyncio.sleep(max(0.0, self.delay - (time.monotonic() - began)))
                self.under_way -= 1
                lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
                writer.write("\r\n".join(lines).encode() + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def answer(self, head: str) -> tuple[str, bytes, list[str]]:
        """Status, body and headers."""
        request, *rest = head.split("\r\n")
        method, target, _version = request.split(" ")
        named = _TARGET.fullmatch(target)
        if named is None:
            return self._refuse("404 Not Found")
        order_no, merchant_no = named.groups()
        lowered = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in rest)
        }
        told = dict(_PART.findall(lowered.get("authorization", "")))
        shop = self.shops[merchant_no]
        message = f"{method}\n{target}\n{told['timestamp']}\n{told['nonce_str']}\n\n"
        try:
            shop.key.verify(
                base64.b64decode(told["signature"]),
                message.encode(),
                padding.PKCS1v15(),
                hashes.SHA256(),
            )
        except InvalidSignature:
            return self._refuse("401 Unauthorized")
        self.asked[order_no] = self.asked.get(order_no, 0) + 1
        body = json.dumps(self._order(order_no, merchant_no, shop)).encode()
        return "200 OK", body, self._signed(body)

    def _refuse(self, status: str) -> tuple[str, bytes, list[str]]:
        self.refused += 1
        return status, b'{"code":"SIGN_ERROR","message":"no"}', []

    def _order(self, order_no: str, merchant_no: str, shop: Shop) -> dict[str, Any]:
        facts: dict[str, Any] = {
            "appid": shop.app_id,
            "mchid": merchant_no,
            "out_trade_no": order_no,
            "amount": {"total": AMOUNT, "currency": "CNY"},
            "trade_state": "NOTPAY",
            "trade_state_desc": "订单未支付",
        }
        if self.paid_each and int(order_no[1:]) % self.paid_each == 0:
            facts |= {
                "trade_state": "SUCCESS",
                "trade_state_desc": "支付成功",
                "transaction_id": f"42{order_no[1:]}",
                "success_time": PAID_AT,
                "trade_type": "NATIVE",
                "bank_type": "OTHERS",
                "payer": {"openid": f"oBench{order_no}"},
            }
        return facts

    def _signed(self, body: bytes) -> list[str]:
        timestamp, nonce = str(int(time.time())), "5TGYHF7SJF8D7SJD"
        message = timestamp.encode() + b"\n" + nonce.encode() + b"\n" + body + b"\n"
        signature = self.key.sign(message, padding.PKCS1v15(), hashes.SHA256())
        return [
            "Content-Type: application/json",
            f"Wechatpay-Timestamp: {timestamp}",
            f"Wechatpay-Nonce: {nonce}",
            f"Wechatpay-Serial: {self.key_id}",
            f"Wechatpay-Signature: {base64.b64encode(signature).decode()}",
        ]


async def _serve(platform: Platform) -> None:
    server = await asyncio.start_server(platform.serve, "127.0.0.1", 0, backlog=512)
    answer(port=server.sockets[0].getsockname()[1])
    over = asyncio.Event()
    loop = asyncio.get_running_loop()

    def listen() -> None:
        for order in orders():
            if order.get("forget"):
                platform.asked.clear()
                platform.most_under_way = 0
            answer(
                asked=len(platform.asked),
                calls=sum(platform.asked.values()),
                refused=platform.refused,
                most_under_way=platform.most_under_way,
            )
        loop.call_soon_threadsafe(over.set)

    threading.Thread(target=listen, daemon=True).start()
    await over.wait()


def main() -> None:
    """Read keys and rules, then serve until standard input ends."""
    told = next(orders())
    key = serialization.load_pem_private_key(told["private_key"].encode(), password=None)
    assert isinstance(key, rsa.RSAPrivateKey)
    shops = {}
    for merchant_no, shop in told["shops"].items():
        public = serialization.load_pem_public_key(shop["public_key"].encode())
        assert isinstance(public, rsa.RSAPublicKey)
        shops[merchant_no] = Shop(shop["app_id"], public)
    asyncio.run(
        _serve(
            Platform(
                key=key,
                key_id=told["key_id"],
                shops=shops,
                delay=told.get("delay", DELAY),
                paid_each=told.get("paid_each", 10),
            )
        )
    )


if __name__ == "__main__":
    main()
