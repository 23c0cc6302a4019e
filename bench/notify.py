"""Signed notifications of WeChat Pay a second through one web process, each verified, applied and posted to the ledger.

The floor is the same server with the same threads around a bare function that verifies the signature, opens the content and
sends the same statements (``bench.frame.bare``). Both are sent the same number of notifications over 16 connections that stay
open. Afterwards ours is sent half as many a second as it took, and the time to its acknowledgement is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import random
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import django

if __name__ == "__main__":
    django.setup()

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.db.models import Sum

from apps.core.models import Due
from apps.core.tenancy import Scope, enter_scope
from apps.ledger.models import JournalEntry, Posting
from apps.merchants.models import Merchant
from apps.payments.models import Order, OrderState, Payment, PaymentState
from apps.platforms.models import Notification, NotificationState, PlatformAccount
from bench.frame import wechat
from bench.frame.database import own_database
from bench.frame.processes import PROJECT, answer, orders, running
from bench.frame.result import Options, Result, middle_pair, say, spread
from bench.frame.world import (
    API_V3_KEY,
    APP_ID,
    KEY_ID,
    make_keys,
    make_merchant,
    open_payments,
    order_number,
)

#: The target: times the floor.
MOST = 2.0
MERCHANTS = 8
CONNECTIONS = 16
WARM_UP = 80
#: Seconds until a server must answer.
START = 60


def arguments(parser: argparse.ArgumentParser) -> None:
    """How often."""
    parser.add_argument("--repeats", type=int, default=5)


def run(options: Options) -> Result:
    """Floor and ours by turns, each with payments of its own."""
    rows = options.rows or 1000
    keys = make_keys()
    numbers = random.Random(options.seed)
    pairs: list[tuple[float, float]] = []
    wrong: list[str] = []
    with (
        own_database("notify", options),
        tempfile.TemporaryDirectory() as folder,
        running("bench.notify", "sender") as sender,
    ):
        merchants = [make_merchant(number, keys) for number in range(MERCHANTS)]
        facts = Path(folder) / "facts.json"
        facts.write_text(
            json.dumps({"platform_public": keys.platform_public, "api_v3_key": API_V3_KEY})
        )
        sender.ask(private_key=keys.platform_private, refs=_refs(merchants))
        with (
            _serving("bench.frame.bare:application", BENCH_FACTS=str(facts)) as bare,
            _serving("merchant_portal.asgi:application") as portal,
        ):

            def send(server: _Server, count: int, **more: Any) -> dict[str, Any]:
                first = numbers.randrange(10**9) * 10_000
                with open_payments(merchants, first=first, count=count):
                    said = sender.ask(port=server.port, first=first, count=count, **more)
                    wrong.extend(
                        f"{server.name}: {one}"
                        for one in _check(merchants, first=first, count=count)
                    )
                if said["refused"]:
                    wrong.append(f"{server.name} refused {said['refused']} of {count}")
                return said

            # Ours first: it opens the ledger's accounts.
            for server in (portal, bare, portal, bare):
                send(server, WARM_UP)
            for turn in range(1, options.given.repeats + 1):
                floor, ours = send(bare, rows)["seconds"], send(portal, rows)["seconds"]
                pairs.append((floor, ours))
                say(
                    f"  {turn}: floor {rows / floor:.0f} a second, ours {rows / ours:.0f} a second, ratio {ours / floor:.2f}"
                )
            floor_s, ours_s = middle_pair(pairs)
            half = rows / ours_s / 2
            calm = send(portal, rows, rate=half)
            peak = portal.peak_rss_mb()
    say(f"  floor {spread([a for a, _ in pairs])} s, ours {spread([b for _, b in pairs])} s")
    say(
        f"  acknowledged at {half:.0f} a second: median {calm['p50_ms']:.0f} ms, p99 {calm['p99_ms']:.0f} ms"
    )
    return Result(
        name="notify",
        rows=rows,
        floor_s=floor_s,
        ours_s=ours_s,
        peak_rss_mb=peak,
        met=ours_s <= MOST * floor_s,
        wrong=wrong,
        more={
            "ratios": [round(ours / floor, 3) for floor, ours in pairs],
            "a_second": round(rows / ours_s, 1),
            "floor_a_second": round(rows / floor_s, 1),
            "half_load_a_second": round(half, 1),
            "half_load_p50_ms": round(calm["p50_ms"], 1),
            "half_load_p99_ms": round(calm["p99_ms"], 1),
        },
    )


def _refs(merchants: list[Merchant]) -> list[list[str]]:
    """Of each merchant's account the reference and the merchant's number there."""
    found = []
    for merchant in merchants:
        with enter_scope(Scope(merchant.pk)):
            account = PlatformAccount.objects.get()
        found.append([account.ref, account.merchant_no])
    return found


def _check(merchants: list[Merchant], *, first: int, count: int) -> list[str]:
    """What differs from what must have come out: each paid once, the journal in balance, nothing left to do."""
    numbers = [order_number(number) for number in range(first, first + count)]
    found = dict.fromkeys(("paid", "orders", "notifications", "entries", "journal", "dues"), 0)
    for merchant in merchants:
        with enter_scope(Scope(merchant.pk)):
            payments = Payment.objects.filter(order_no__in=numbers)
            found["paid"] += payments.filter(state=PaymentState.SUCCEEDED).count()
            found["orders"] += Order.objects.filter(
                state=OrderState.PAID, payments__order_no__in=numbers
            ).count()
            found["notifications"] += Notification.objects.filter(
                state=NotificationState.APPLIED, order_no__in=numbers
            ).count()
            found["entries"] += JournalEntry.objects.filter(memo__in=numbers).count()
            found["journal"] += abs(Posting.objects.aggregate(sum=Sum("amount_minor"))["sum"] or 0)
    found["dues"] = Due.objects.count()
    must = {**dict.fromkeys(found, count), "journal": 0, "dues": 0}
    return [
        f"{name}: {found[name]} instead of {wanted}"
        for name, wanted in must.items()
        if found[name] != wanted
    ]


# ---------------------------------------------------------------- the servers
class _Server:
    """A web process."""

    def __init__(self, name: str, port: int, process: subprocess.Popen[bytes]) -> None:
        self.name = name
        self.port = port
        self.process = process

    def peak_rss_mb(self) -> float:
        """The most memory that it ever held, where the system tells."""
        status = Path(f"/proc/{self.process.pid}/status")
        if not status.exists():
            return 0.0
        (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1]) / 1024


@contextmanager
def _serving(application: str, **environment: str) -> Iterator[_Server]:
    """One web process of an application, as in production, for as long as the block lasts."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = ("--port", str(port), "--log-level", "warning", "--no-access-log")
    process = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", application, *arguments],
        cwd=PROJECT,
        env={**os.environ, **environment},
    )
    try:
        _wait(port, process)
        yield _Server(application.split(":")[0], port, process)
    finally:
        process.terminate()
        process.wait(timeout=20)


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise RuntimeError(f"no server came up on port {port}")


# ---------------------------------------------------------------- the platform
def _sender() -> None:
    """A process that signs notifications beforehand and then sends them as fast as they are taken, or at a ``rate``."""
    told = next(orders_ := orders())
    key = serialization.load_pem_private_key(told["private_key"].encode(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    answer(ready=True)
    for order in orders_:
        numbers = range(order["first"], order["first"] + order["count"])
        requests = [
            _request(number, told["refs"][(number - order["first"]) % MERCHANTS], key)
            for number in numbers
        ]
        answer(**asyncio.run(_send_all(order["port"], requests, order.get("rate"))))


def _request(number: int, account: tuple[str, str], key: rsa.RSAPrivateKey) -> bytes:
    """One request, byte for byte. ``account``: its reference and the merchant's number at the platform."""
    ref, merchant_no = account
    order_no = order_number(number)
    content = {
        "transaction_id": f"42{order_no[1:]}",
        "amount": {
            "total": wechat.AMOUNT,
            "payer_total": wechat.AMOUNT,
            "currency": "CNY",
            "payer_currency": "CNY",
        },
        "mchid": merchant_no,
        "appid": APP_ID,
        "out_trade_no": order_no,
        "trade_state": "SUCCESS",
        "trade_state_desc": "支付成功",
        "trade_type": "NATIVE",
        "bank_type": "OTHERS",
        "success_time": wechat.PAID_AT,
        "attach": "",
        "payer": {"openid": f"oBench{order_no}"},
    }
    nonce, associated = secrets.token_hex(6), "transaction"
    sealed = AESGCM(API_V3_KEY.encode()).encrypt(
        nonce.encode(), json.dumps(content).encode(), associated.encode()
    )
    body = json.dumps(
        {
            "id": secrets.token_hex(16),
            "create_time": wechat.PAID_AT,
            "resource_type": "encrypt-resource",
            "event_type": "TRANSACTION.SUCCESS",
            "summary": "支付成功",
            "resource": {
                "original_type": "transaction",
                "algorithm": "AEAD_AES_256_GCM",
                "ciphertext": base64.b64encode(sealed).decode(),
                "associated_data": associated,
                "nonce": nonce,
            },
        }
    ).encode()
    timestamp, salt = str(int(time.time())), secrets.token_hex(16)
    signature = key.sign(
        f"{timestamp}\n{salt}\n".encode() + body + b"\n", padding.PKCS1v15(), hashes.SHA256()
    )
    head = (
        f"POST /notify/wechatpay/{ref} HTTP/1.1",
        "Host: localhost",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        f"Wechatpay-Timestamp: {timestamp}",
        f"Wechatpay-Nonce: {salt}",
        f"Wechatpay-Serial: {KEY_ID}",
        f"Wechatpay-Signature: {base64.b64encode(signature).decode()}",
        "",
        "",
    )
    return "\r\n".join(head).encode() + body


async def _send_all(port: int, requests: list[bytes], rate: float | None) -> dict[str, Any]:
    left = iter(enumerate(requests))
    waits: list[float] = []
    refused = 0
    began = time.perf_counter()

    async def send() -> None:
        nonlocal refused
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number, request in left:
            # At a rate the time counts from when it should have been sent, so that waiting for a place is not forgotten.
            start = time.perf_counter()
            if rate is not None:
                start = began + number / rate
                await asyncio.sleep(start - time.perf_counter())
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            lines = head.decode("latin-1").lower().split("\r\n")
            (length,) = [line.split(":")[1] for line in lines if line.startswith("content-length")]
            await reader.readexactly(int(length))
            waits.append(time.perf_counter() - start)
            if " 200 " not in lines[0]:
                refused += 1
        writer.close()

    await asyncio.gather(*(send() for _ in range(CONNECTIONS)))
    seconds = time.perf_counter() - began
    waits.sort()
    return {
        "seconds": seconds,
        "refused": refused,
        "p50_ms": waits[len(waits) // 2] * 1000,
        "p99_ms": waits[min(len(waits) - 1, len(waits) * 99 // 100)] * 1000,
    }


def main() -> None:
    """The platform's process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("part", choices=["sender"])
    parser.parse_args()
    _sender()


if __name__ == "__main__":
    main()
