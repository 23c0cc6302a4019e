"""Claiming dues: what a claim costs among a thousand waiting rows, and among a million of them and as many finished orders.

The floor is the same number of claims in a database with a thousand dues; ours, those with ``--rows`` dues and finished
orders. Both claim, put off and remove by turns, as the relay (all kinds but the batch tasks) and the rounds of
``payments.poll`` do. The plans that PostgreSQL makes are printed: no table is read through, and nothing is passed over.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from apps.core import clock, outbox
from apps.core.doors import new_token
from apps.core.models import Due
from apps.core.outbox import Ended
from apps.core.tenancy import Scope, enter_scope
from apps.merchants.models import Merchant, Store
from apps.platforms.models import PlatformAccount
from bench.frame.database import own_database
from bench.frame.result import Options, Result, middle_pair, peak_rss_mb, say, spread

#: The target: times what it costs among few rows, of which there are a thousand times as many. The same is not 1.0: an index of
#: a million is one level deeper, and nothing of it lies in the processor's cache.
MOST = 2.0
FEW = 1000
#: Fewer rows than this PostgreSQL rightly reads through, so that their plans tell nothing.
TELLING = 100_000
#: Rows that a claim takes at most whose plan and answer are looked at; rows of a measured one; claims of each kind.
LIMIT = 400
AT_ONCE = 100
CLAIMS = 40
#: What waits: a batch task, many small tasks, and two in ten of them due.
TASKS = (
    "payments.poll",
    "refunds.poll",
    "refunds.send",
    "payments.expire_order",
    "statements.fetch",
)

_FILL_DUES = """
INSERT INTO core_due (task, merchant_id, subject_id, due_at, revision, attempts)
SELECT %(task)s, %(merchant)s, number, %(now)s::timestamptz + (number %% 1000 - 200) * interval '1 minute', 1, 0
FROM generate_series(1, %(count)s) AS number
"""
_FILL_ORDERS = """
INSERT INTO payments_order (merchant_id, store_id, token, amount_minor, currency, subject, note, state, source, created_at,
    expires_at, paid_at)
SELECT %(merchant)s, %(store)s, 'bench' || number, 1250, 'CNY', '咖啡', '', 'paid', 'portal', moment, moment, moment
FROM generate_series(1, %(count)s) AS number,
    LATERAL (SELECT %(now)s::timestamptz - number * interval '20 seconds' AS moment) AS at
"""
_FILL_PAYMENTS = """
INSERT INTO payments_payment (merchant_id, order_id, store_id, account_id, platform, wallet, product, order_no,
    platform_trade_no, amount_minor, currency, fee_minor, refund_reserved_minor, refunded_minor, state, source, payer_hash,
    payer_masked, handover, code_text, message, created_at, expires_at, payable_until, paid_at, booked_date, poll_count)
SELECT merchant_id, id, store_id, %(account)s, 'wechatpay', 'wechatpay', 'dynamic_qr', 'B' || id, 'T' || id, amount_minor,
    currency, 8, 0, 0, 'succeeded', 'portal', '', '', '{}', '', '', created_at, expires_at, expires_at, paid_at,
    paid_at::date, 1
FROM payments_order WHERE merchant_id = %(merchant)s
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """How often it is measured."""
    parser.add_argument("--repeats", type=int, default=5)


def run(options: Options) -> Result:
    """The same claims among few and among many rows, by turns."""
    rows = options.rows or 1_000_000
    now = clock.now()
    pairs: list[tuple[float, float]] = []
    pages: list[tuple[int, int]] = []
    wrong: list[str] = []
    with own_database("claim", options, rows=rows) as found:
        merchant = Merchant.objects.first() if found else _make_merchant()
        assert merchant is not None
        if not found:
            say(f"filling in {rows} orders …")
            _fill_orders(merchant, count=rows, now=now)
        with _dues(merchant, count=FEW, now=now):
            _measure(now=now)
        for turn in range(1, options.given.repeats + 1):
            with _dues(merchant, count=FEW, now=now):
                few, few_pages = _measure(now=now), _pages(now=now)
            with _dues(merchant, count=rows, now=now):
                many, many_pages = _measure(now=now), _pages(now=now)
                if turn == 1 and rows >= TELLING:
                    wrong += _check_plans(now=now)
                wrong += _check_claims(now=now)
            pairs.append((few, many))
            pages.append((few_pages, many_pages))
            say(
                f"  {turn}: among {FEW} {few:.4f} s, among {rows} {many:.4f} s, ratio {many / few:.2f}"
            )
    floor_s, ours_s = middle_pair(pairs)
    say(f"  few {spread([a for a, _ in pairs])} s, many {spread([b for _, b in pairs])} s")
    return Result(
        name="claim",
        rows=rows,
        floor_s=floor_s,
        ours_s=ours_s,
        peak_rss_mb=peak_rss_mb(),
        met=ours_s <= MOST * floor_s,
        wrong=wrong,
        more={
            "ratios": [round(many / few, 3) for few, many in pairs],
            "claims": 2 * CLAIMS,
            "pages": pages,
            "a_claim_ms": round(ours_s / (2 * CLAIMS) * 1000, 3),
        },
    )


# ---------------------------------------------------------------- the world
def _make_merchant() -> Merchant:
    merchant = Merchant.objects.create(slug="bench", name="测试")
    with enter_scope(Scope(merchant.pk)):
        Store.objects.create(name="一号店")
        PlatformAccount.objects.create(
            platform="wechatpay", label="WeChat", ref=new_token(20), merchant_no="1900000100"
        )
    return merchant


def _fill_orders(merchant: Merchant, *, count: int, now: datetime) -> None:
    """So many paid orders with a payment each: what has nothing to do with what waits."""
    with enter_scope(Scope(merchant.pk)), connection.cursor() as cursor:
        facts: dict[str, Any] = {
            "merchant": merchant.pk,
            "store": Store.objects.get().pk,
            "account": PlatformAccount.objects.get().pk,
            "count": count,
            "now": now,
        }
        cursor.execute(_FILL_ORDERS, facts)
        cursor.execute(_FILL_PAYMENTS, facts)
        cursor.execute("VACUUM ANALYZE payments_order, payments_payment")


@contextmanager
def _dues(merchant: Merchant, *, count: int, now: datetime) -> Iterator[None]:
    """So many dues, as many of each task, of which two in ten are due; gone afterwards."""
    with connection.cursor() as cursor:
        for task in TASKS:
            cursor.execute(
                _FILL_DUES,
                {"task": task, "merchant": merchant.pk, "count": count // len(TASKS), "now": now},
            )
        # Among few rows as many are due as a claim takes: both do the same work.
        cursor.execute(
            "UPDATE core_due SET due_at = %s WHERE due_at > %s AND subject_id <= 100", [now, now]
        )
        cursor.execute("VACUUM ANALYZE core_due")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE core_due")


def _measure(*, now: datetime) -> float:
    """Seconds for ``CLAIMS`` claims of one task and as many of all others; each row is put back where it was.

    By the median of each kind: each writes to the disk, which now and then takes its time for other reasons.
    """
    seconds = 0.0
    for kinds in ({"task": "payments.poll"}, {"without": ("payments.poll", "refunds.poll")}):
        times = []
        for _claim in range(CLAIMS):
            began = time.perf_counter()
            claims = outbox.claim(now=now, limit=AT_ONCE, **kinds)
            outbox.settle([Ended(claim=one, next_at=now) for one in claims])
            times.append(time.perf_counter() - began)
            if len(claims) != AT_ONCE:
                raise RuntimeError(f"{len(claims)} rows were claimed instead of {AT_ONCE}")
        seconds += statistics.median(times) * CLAIMS
    return seconds


def _pages(*, now: datetime) -> int:
    """How many pages of table and indexes one claim of one task looks at."""
    ((statement, facts),) = [
        one
        for one in _statements(now=now, limit=AT_ONCE, task="payments.poll")
        if "SKIP LOCKED" in one[0]
    ][:1]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", facts)
        (plan,) = cursor.fetchone()
        transaction.set_rollback(True)
    node = (json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"]
    return int(node["Shared Hit Blocks"] + node["Shared Read Blocks"])


# ---------------------------------------------------------------- correctness
def _check_claims(*, now: datetime) -> list[str]:
    """Nothing is claimed twice, before its time, or of another kind."""
    wrong = []
    first = outbox.claim(now=now, limit=LIMIT, task="payments.poll")
    second = outbox.claim(now=now, limit=LIMIT, task="payments.poll")
    if {one.due_id for one in first} & {one.due_id for one in second}:
        wrong.append("a row was claimed twice")
    if {one.task for one in first + second} != {"payments.poll"}:
        wrong.append("a claim of one kind brought another")
    early = Due.objects.filter(claimed_until__isnull=False, due_at__gt=now).count()
    if early:
        wrong.append(f"{early} rows were claimed before their time")
    return wrong


def _check_plans(*, now: datetime) -> list[str]:
    """What is wrong with the plans of the statements that claim."""
    wrong = []
    for name, kinds in (
        ("a round", {"task": "payments.poll"}),
        ("the relay", {"without": ("payments.poll",)}),
    ):
        for statement, facts in _statements(now=now, **kinds):
            plan = _plan(statement, facts)
            nodes = list(_nodes(plan))
            say(f"  {name}: " + " > ".join(_words(node) for node in nodes))
            wrong += [
                f"{name} reads all of {node['Relation Name']}"
                for node in nodes
                if node["Node Type"] == "Seq Scan" and "Relation Name" in node
            ]
            if "OFFSET" in statement.upper():
                wrong.append(f"{name} passes over rows by OFFSET")
    return wrong


def _statements(*, now: datetime, limit: int = LIMIT, **kinds: Any) -> list[tuple[str, Any]]:
    """The statements that one claim sends, with their values; what they changed is undone."""
    seen: list[tuple[str, Any]] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        seen.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        claims = outbox.claim(now=now, limit=limit, **kinds)
        outbox.settle([Ended(claim=one, next_at=now) for one in claims])
    return [(sql, params) for sql, params in seen if "core_due" in sql]


def _plan(statement: str, facts: Any) -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (FORMAT JSON) {statement}", facts)
        (plan,) = cursor.fetchone()
    found: dict[str, Any] = (json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"]
    return found


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from _nodes(part)


def _words(node: dict[str, Any]) -> str:
    by = node.get("Index Name") or node.get("Relation Name")
    return f"{node['Node Type']} ({by})" if by else str(node["Node Type"])
