"""Asking about open payments: one worker process against a platform that answers in 100 ms, 64 questions under way.

The floor is a bare loop in one process at the same concurrency: httpx, an RSA signature on each request, a verified one on
each answer. Ours is a worker that claims the payments' dues, asks, and applies what came: one in ten was paid and is posted
to the ledger. For the gain over the way before, a worker that does one order a task asks about a few of them in a row.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import random
import secrets
import ssl
import time
from contextlib import AsyncExitStack
from typing import Any

import django
import httpx

if __name__ == "__main__":
    django.setup()

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from django.conf import settings

from apps.core import clock, outbox, tasks
from apps.core.models import Due
from apps.core.tenancy import Scope, enter_scope
from apps.ledger.models import JournalEntry
from apps.merchants.models import Merchant
from apps.payments.models import Order, OrderState, Payment, PaymentState
from apps.payments.services import poll_payment
from bench.frame.database import own_database
from bench.frame.processes import answer, orders, running
from bench.frame.result import Options, Result, middle_pair, peak_rss_mb, say, spread
from bench.frame.world import (
    APP_ID,
    KEY_ID,
    SERIAL,
    make_keys,
    make_merchant,
    open_payments,
    order_number,
)

#: The targets: times the floor, and times as fast as one order a task.
MOST = 1.67
LEAST_GAIN = 10.0
UNDER_WAY = 64
MERCHANTS = 8
#: Payments before the clock starts, so that nobody pays for connecting and importing.
WARM_UP = 64


def arguments(parser: argparse.ArgumentParser) -> None:
    """How often, and how many in a row for the comparison."""
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--sequential", type=int, default=60)


def run(options: Options) -> Result:
    """Floor and ours by turns, on the same number of payments."""
    rows = options.rows or 2000
    keys = make_keys()
    numbers = random.Random(options.seed)
    pairs: list[tuple[float, float]] = []
    cpu: list[tuple[float, float]] = []
    wrong: list[str] = []
    peak = 0.0
    with own_database("poll", options), running("bench.frame.wechat") as platform:
        merchants = [make_merchant(number, keys) for number in range(MERCHANTS)]
        port = platform.ask(
            private_key=keys.platform_private,
            key_id=KEY_ID,
            shops={
                str(1900000100 + number): {"app_id": APP_ID, "public_key": keys.public}
                for number in range(MERCHANTS)
            },
        )["port"]
        url = f"http://127.0.0.1:{port}"
        with (
            running("bench.poll", "floor") as floor,
            running("bench.poll", "worker", WECHATPAY_API_URL=url) as worker,
        ):
            floor.tell(url=url, keys=keys.__dict__)
            for turn in range(options.given.repeats + 1):
                count = rows if turn else WARM_UP
                first = numbers.randrange(10**9) * 10_000
                bare = floor.ask(first=first, count=count)
                with open_payments(merchants, first=first, count=count):
                    platform.ask(forget=True)
                    done = worker.ask()
                    peak = done["peak_rss_mb"]
                    said = platform.ask()
                    wrong += _check(merchants, first=first, count=count, said=said)
                if turn:
                    pairs.append((bare["seconds"], done["seconds"]))
                    cpu.append((bare["cpu_s"], done["cpu_s"]))
                    say(
                        f"  {turn}: floor {bare['seconds']:.3f} s, ours {done['seconds']:.3f} s,"
                        f" ratio {done['seconds'] / bare['seconds']:.2f};"
                        f" of the processor {bare['cpu_s']:.3f} s and {done['cpu_s']:.3f} s"
                        f" ({done['rounds']} rounds, {said['most_under_way']} under way)"
                    )
            few = options.given.sequential
            with open_payments(merchants, first=10**13, count=few):
                one_by_one = worker.ask(sequential=True)["seconds"] / few
    floor_s, ours_s = middle_pair(pairs)
    gain = one_by_one / (ours_s / rows)
    say(f"  floor {spread([a for a, _ in pairs])} s, ours {spread([b for _, b in pairs])} s")
    say(
        f"  one order a task: {one_by_one * 1000:.0f} ms each; the rounds are {gain:.0f} times as fast"
    )
    return Result(
        name="poll",
        rows=rows,
        floor_s=floor_s,
        ours_s=ours_s,
        peak_rss_mb=peak,
        met=ours_s <= MOST * floor_s and gain >= LEAST_GAIN,
        wrong=wrong,
        more={
            "cpu_s": [[round(one, 3) for one in pair] for pair in cpu],
            "ratios": [round(ours / bare, 3) for bare, ours in pairs],
            "one_by_one_s": round(one_by_one * rows, 3),
            "gain": round(gain, 1),
            "under_way": UNDER_WAY,
        },
    )


def _check(merchants: list[Merchant], *, first: int, count: int, said: dict[str, Any]) -> list[str]:
    """What differs from what must have come out."""
    paid = sum(number % 10 == 0 for number in range(first, first + count))
    numbers = [order_number(number) for number in range(first, first + count)]
    found = {"paid": 0, "open": 0, "asked": 0, "orders": 0, "entries": 0, "dues": 0}
    for merchant in merchants:
        with enter_scope(Scope(merchant.pk)):
            payments = Payment.objects.filter(order_no__in=numbers)
            found["paid"] += payments.filter(state=PaymentState.SUCCEEDED).count()
            found["open"] += payments.filter(state=PaymentState.PENDING).count()
            found["asked"] += payments.filter(poll_count=1).count()
            found["orders"] += Order.objects.filter(
                state=OrderState.PAID, payments__order_no__in=numbers
            ).count()
            found["entries"] += JournalEntry.objects.filter(memo__in=numbers).count()
    found["dues"] = Due.objects.filter(task="payments.poll", due_at__gt=clock.now()).count()
    must = {
        "paid": paid,
        "open": count - paid,
        "asked": count,
        "orders": paid,
        "entries": paid,
        "dues": count - paid,
    }
    wrong = [
        f"{name}: {found[name]} instead of {wanted}"
        for name, wanted in must.items()
        if found[name] != wanted
    ]
    if (said["asked"], said["calls"], said["refused"]) != (count, count, 0):
        wrong.append(f"the platform was asked {said}")
    return wrong


# ---------------------------------------------------------------- ours
def _worker() -> None:
    """A worker process: runs of the batch task for each order, as its messages would make."""
    for order in orders():
        began, busy = time.perf_counter(), time.process_time()
        done = _one_by_one() if order.get("sequential") else _rounds()
        seconds, busy = time.perf_counter() - began, time.process_time() - busy
        rounds = -(-done // tasks.ROUND_LIMIT)
        answer(seconds=seconds, cpu_s=busy, done=done, rounds=rounds, peak_rss_mb=peak_rss_mb())


def _rounds() -> int:
    """As many messages as it takes: on a busy machine one ends before all is done."""
    done = 0
    while more := tasks.run_batch("payments.poll"):
        done += more
    return done


def _one_by_one() -> int:
    """As a worker did before: each due row a task, each task one question."""
    now = clock.now()
    claims = outbox.claim(now=now, limit=1000, task="payments.poll")
    for claim in claims:
        with enter_scope(Scope(claim.merchant_id)):
            next_at = poll_payment(payment_id=claim.subject_id, now=now)
        outbox.finish(claim, next_at=next_at)
    return len(claims)


# ---------------------------------------------------------------- the floor
def _floor() -> None:
    """A process that does nothing but sign, ask and verify."""
    told = next(orders_ := orders())
    private = serialization.load_pem_private_key(told["keys"]["private"].encode(), None)
    public = serialization.load_pem_public_key(told["keys"]["platform_public"].encode())
    assert isinstance(private, rsa.RSAPrivateKey)
    assert isinstance(public, rsa.RSAPublicKey)
    for order in orders_:
        busy = time.process_time()
        seconds = asyncio.run(
            _ask_all(
                told["url"], private, public, range(order["first"], order["first"] + order["count"])
            )
        )
        answer(seconds=seconds, cpu_s=time.process_time() - busy)


async def _ask_all(
    url: str, private: rsa.RSAPrivateKey, public: rsa.RSAPublicKey, numbers: range
) -> float:
    left = iter(numbers)

    async def ask(client: httpx.AsyncClient) -> None:
        for number in left:
            merchant_no = 1900000100 + number % MERCHANTS
            target = f"/v3/pay/transactions/out-trade-no/{order_number(number)}?mchid={merchant_no}"
            timestamp, nonce = str(int(time.time())), secrets.token_hex(16)
            message = f"GET\n{target}\n{timestamp}\n{nonce}\n\n".encode()
            signature = base64.b64encode(
                private.sign(message, padding.PKCS1v15(), hashes.SHA256())
            ).decode()
            response = await client.get(
                url + target,
                headers={
                    "Authorization": f'WECHATPAY2-SHA256-RSA2048 mchid="{merchant_no}",'
                    f'nonce_str="{nonce}",signature="{signature}",timestamp="{timestamp}",'
                    f'serial_no="{SERIAL}"',
                    "Accept": "application/json",
                },
            )
            signed = (
                response.headers["wechatpay-timestamp"].encode()
                + b"\n"
                + response.headers["wechatpay-nonce"].encode()
                + b"\n"
                + response.content
                + b"\n"
            )
            public.verify(
                base64.b64decode(response.headers["wechatpay-signature"]),
                signed,
                padding.PKCS1v15(),
                hashes.SHA256(),
            )
            response.json()

    # A client with one connection for each that are under way: httpx's own pool looks at all its connections for every call.
    # The certificates of the whole world are not needed here; reading them is no part of the work.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(httpx.AsyncClient(verify=context, timeout=10))
            for _ in range(UNDER_WAY)
        ]
        began = time.perf_counter()
        await asyncio.gather(*(ask(client) for client in clients))
        return time.perf_counter() - began


def main() -> None:
    """One of the two processes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("part", choices=["floor", "worker"])
    assert settings.configured
    {"floor": _floor, "worker": _worker}[parser.parse_args().part]()


if __name__ == "__main__":
    main()
