"""A draft of risk rules on 90 days of a million payments: the replay of the whole book beside one statement for this one book.

Ours is ``risk.counting.find`` over ``checkout.facts``: any book, put together rule by rule. The floor is one statement written by
hand for this one draft over the same tables, with the same findings and figures, each with its latest facts as evidence. Both
must agree to the last fact; a slow count in Python (``risk/tests/oracle.py``) is compared with ours over the last days. What judging
one payment costs before it begins is timed, and its statements are counted.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import User
from apps.checkout.facts import facts_since
from apps.checkout.services import PaymentHeld, judge
from apps.core import clock, sql
from apps.core.audit import Actor
from apps.core.tenancy import Scope, enter_scope
from apps.merchants.models import Membership, Merchant, Role, Store
from apps.payments.models import Order
from apps.platforms.models import PlatformAccount
from apps.qrcodes.models import QRCode
from apps.qrcodes.services import create_code
from apps.risk.counting import Finding, find
from apps.risk.models import RiskRuleBook
from apps.risk.rules import Outcome, RuleKind, Rules, lookback_days, read_rules, write_rules
from apps.risk.tests.oracle import Fact, expected
from bench.frame.database import own_database
from bench.frame.result import Options, Result, middle_pair, peak_rss_mb, say, spread
from bench.frame.world import make_keys, make_merchant

#: The target: times the floor.
MOST = 1.5
MOST_STATEMENTS = 3
DAYS: Final = 90
CODES: Final = 40
#: Days of which the slow count is asked.
ORACLE_DAYS: Final = 2
#: They look back so far that the slow count would take hours.
_FAR: Final = {RuleKind.ODD_AMOUNT, RuleKind.STRUCTURING, RuleKind.REFUND_RATE}
NOW = datetime.fromisoformat("2026-11-24T10:30:00+08:00").astimezone(UTC)
DRAFT: Final[dict[RuleKind, dict[str, int]]] = {
    RuleKind.CODE_VELOCITY: {"count": 9, "minutes": 10},
    RuleKind.PAYER_VELOCITY: {"count": 3, "minutes": 60},
    RuleKind.CASHIER_VELOCITY: {"count": 18, "minutes": 10},
    RuleKind.FAILED_ATTEMPTS: {"count": 3, "minutes": 30},
    RuleKind.ODD_AMOUNT: {"minor": 100_000, "times": 20},
    RuleKind.STRUCTURING: {"minor": 50_000, "percent": 10, "count": 3, "hours": 168},
    RuleKind.NIGHT: {"begins": 1, "ends": 5, "count": 5, "minor": 50_000},
    RuleKind.REFUND_RATE: {"percent": 1, "count": 5, "days": 7},
    RuleKind.CODE_DAY: {"minor": 1_050_000},
}
#: For each hit the latest twenty facts between its first and its last.
_SHOWN: Final = """
    to_jsonb((array_agg(jsonb_build_object('order', f.order_id, 'at', f.at, 'minor', f.minor, 'kind', f.kind)
        ORDER BY f.at DESC, f.order_id DESC, f.minor DESC))[1:20])"""
#: What stands out of each window, by hand: one sort a subject, however many rules look at it.
_BY_HAND: Final = f"""
WITH paid AS MATERIALIZED (
    SELECT 'paid' AS kind, p.paid_at AS at, p.amount_minor AS minor, p.order_id, p.store_id, p.code_id, p.payer_hash AS payer,
        o.taken_by_id AS member, (p.paid_at AT TIME ZONE 'Asia/Shanghai')::date AS day,
        extract(hour FROM p.paid_at AT TIME ZONE 'Asia/Shanghai') AS hour
    FROM payments_payment p JOIN payments_order o ON o.merchant_id = p.merchant_id AND o.id = p.order_id
    WHERE p.merchant_id = %(merchant)s AND p.state = 'succeeded' AND p.booked_date >= %(booked)s AND p.paid_at >= %(from)s
        AND p.paid_at <= %(now)s
), failed AS MATERIALIZED (
    SELECT 'failed' AS kind, p.created_at AS at, p.amount_minor AS minor, p.order_id, p.store_id, p.code_id,
        (p.created_at AT TIME ZONE 'Asia/Shanghai')::date AS day
    FROM payments_payment p JOIN payments_order o ON o.merchant_id = p.merchant_id AND o.id = p.order_id
    WHERE p.merchant_id = %(merchant)s AND p.state IN ('failed', 'closed') AND p.source = 'portal' AND o.state <> 'paid'
        AND p.created_at >= %(from)s AND p.created_at <= %(now)s
), refund AS MATERIALIZED (
    SELECT 'refund' AS kind, r.created_at AS at, r.amount_minor AS minor, p.order_id, r.store_id,
        (r.created_at AT TIME ZONE 'Asia/Shanghai')::date AS day
    FROM refunds_refund r JOIN payments_payment p ON p.merchant_id = r.merchant_id AND p.id = r.payment_id
    WHERE r.merchant_id = %(merchant)s AND r.state IN ('requested', 'queued', 'processing', 'succeeded', 'abnormal') AND NOT r.is_automatic
        AND r.created_at >= %(from)s AND r.created_at <= %(now)s
), by_code AS (
    SELECT code_id, day, at, minor, count(*) OVER near AS n, sum(minor) OVER near AS s, first_value(at) OVER near AS since
    FROM paid WHERE code_id IS NOT NULL
    WINDOW near AS (PARTITION BY code_id ORDER BY at RANGE BETWEEN interval '10 minutes' PRECEDING AND CURRENT ROW)
), code_hits AS (
    SELECT 'code_velocity' AS rule, code_id, day, max(n) AS n, max(s)::bigint AS s, min(since) AS first_at, max(at) AS last_at
    FROM by_code WHERE n >= 9 GROUP BY code_id, day
    UNION ALL
    SELECT 'code_day', code_id, day, count(*), sum(minor)::bigint, min(at), max(at)
    FROM by_code GROUP BY code_id, day HAVING sum(minor) > 1050000
), payer_hits AS (
    SELECT payer, day, max(n) AS n, max(s)::bigint AS s, min(since) AS first_at, max(at) AS last_at
    FROM (
        SELECT payer, day, at, count(*) OVER near AS n, sum(minor) OVER near AS s, first_value(at) OVER near AS since
        FROM paid WHERE payer <> ''
        WINDOW near AS (PARTITION BY payer ORDER BY at RANGE BETWEEN interval '60 minutes' PRECEDING AND CURRENT ROW)
    ) AS seen WHERE n >= 3 GROUP BY payer, day
), member_hits AS (
    SELECT member, day, max(n) AS n, max(s)::bigint AS s, min(since) AS first_at, max(at) AS last_at
    FROM (
        SELECT member, day, at, count(*) OVER near AS n, sum(minor) OVER near AS s, first_value(at) OVER near AS since
        FROM paid WHERE member IS NOT NULL
        WINDOW near AS (PARTITION BY member ORDER BY at RANGE BETWEEN interval '10 minutes' PRECEDING AND CURRENT ROW)
    ) AS seen WHERE n >= 18 GROUP BY member, day
), failed_hits AS (
    SELECT code_id, day, max(n) AS n, max(s)::bigint AS s, min(since) AS first_at, max(at) AS last_at
    FROM (
        SELECT code_id, day, at, count(*) OVER near AS n, sum(minor) OVER near AS s, first_value(at) OVER near AS since
        FROM failed WHERE code_id IS NOT NULL
        WINDOW near AS (PARTITION BY code_id ORDER BY at RANGE BETWEEN interval '30 minutes' PRECEDING AND CURRENT ROW)
    ) AS seen WHERE n >= 3 GROUP BY code_id, day
), below AS MATERIALIZED (
    SELECT * FROM paid WHERE payer <> '' AND minor < 50000 AND minor * 100 >= 4500000
), below_hits AS (
    SELECT payer, day, max(n) AS n, max(s)::bigint AS s, min(since) AS first_at, max(at) AS last_at
    FROM (
        SELECT payer, day, at, count(*) OVER near AS n, sum(minor) OVER near AS s, first_value(at) OVER near AS since
        FROM below
        WINDOW near AS (PARTITION BY payer ORDER BY at RANGE BETWEEN interval '168 hours' PRECEDING AND CURRENT ROW)
    ) AS seen WHERE n >= 3 GROUP BY payer, day
), odd AS MATERIALIZED (
    SELECT * FROM (
        SELECT *, sum(one) OVER line - 1 AS others, (sum(part) OVER line - minor)::bigint AS total
        FROM (
            SELECT store_id, day, at, minor, true AS own, at AS moment, 0 AS late, 1 AS one, minor AS part FROM paid WHERE store_id IS NOT NULL
            UNION ALL
            SELECT store_id, day, at, minor, false, at + interval '30 days', 1, -1, -minor FROM paid WHERE store_id IS NOT NULL
        ) AS moments
        WINDOW line AS (PARTITION BY store_id ORDER BY moment, late)
    ) AS seen WHERE own AND others >= 20 AND minor >= 100000 AND minor::numeric * others >= 20::numeric * total
), night AS (
    SELECT *, (at AT TIME ZONE 'Asia/Shanghai' - interval '1 hour')::date AS night FROM paid
    WHERE store_id IS NOT NULL AND hour >= 1 AND hour < 5
), rated AS (
    SELECT store_id, day, last_at, min(first_of_day) OVER near AS first_at, (sum(refunds) OVER near)::bigint AS n,
        (sum(back) OVER near)::bigint AS s, (sum(taken) OVER near)::bigint AS base
    FROM (
        SELECT store_id, day, max(last_at) AS last_at, min(first_of_day) AS first_of_day, sum(refunds)::bigint AS refunds,
            sum(back)::bigint AS back, sum(taken)::bigint AS taken
        FROM (
            SELECT store_id, day, max(at) AS last_at, min(at) AS first_of_day, count(*) AS refunds, sum(minor) AS back, 0 AS taken
            FROM refund GROUP BY store_id, day
            UNION ALL
            SELECT store_id, day, NULL, NULL, 0, 0, sum(minor) FROM paid GROUP BY store_id, day
        ) AS two GROUP BY store_id, day
    ) AS daily
    WINDOW near AS (PARTITION BY store_id ORDER BY day::timestamp RANGE BETWEEN interval '6 days' PRECEDING AND CURRENT ROW)
)
SELECT h.rule, h.code_id::text, h.day, h.n, h.s, 0::bigint, h.first_at, h.last_at, {_SHOWN}
FROM code_hits h JOIN paid f ON f.code_id = h.code_id AND f.at BETWEEN h.first_at AND h.last_at
WHERE h.day >= %(since)s GROUP BY h.rule, h.code_id, h.day, h.n, h.s, h.first_at, h.last_at
UNION ALL
SELECT 'payer_velocity', h.payer, h.day, h.n, h.s, 0::bigint, h.first_at, h.last_at, {_SHOWN}
FROM payer_hits h JOIN paid f ON f.payer = h.payer AND f.at BETWEEN h.first_at AND h.last_at
WHERE h.day >= %(since)s GROUP BY h.payer, h.day, h.n, h.s, h.first_at, h.last_at
UNION ALL
SELECT 'cashier_velocity', h.member::text, h.day, h.n, h.s, 0::bigint, h.first_at, h.last_at, {_SHOWN}
FROM member_hits h JOIN paid f ON f.member = h.member AND f.at BETWEEN h.first_at AND h.last_at
WHERE h.day >= %(since)s GROUP BY h.member, h.day, h.n, h.s, h.first_at, h.last_at
UNION ALL
SELECT 'failed_attempts', h.code_id::text, h.day, h.n, h.s, 0::bigint, h.first_at, h.last_at, {_SHOWN}
FROM failed_hits h JOIN failed f ON f.code_id = h.code_id AND f.at BETWEEN h.first_at AND h.last_at
WHERE h.day >= %(since)s GROUP BY h.code_id, h.day, h.n, h.s, h.first_at, h.last_at
UNION ALL
SELECT 'structuring', h.payer, h.day, h.n, h.s, 0::bigint, h.first_at, h.last_at, {_SHOWN}
FROM below_hits h JOIN below f ON f.payer = h.payer AND f.at BETWEEN h.first_at AND h.last_at
WHERE h.day >= %(since)s GROUP BY h.payer, h.day, h.n, h.s, h.first_at, h.last_at
UNION ALL
SELECT 'odd_amount', h.store_id::text, h.day, h.n, h.s, h.base, h.first_at, h.last_at, {_SHOWN}
FROM (
    SELECT store_id, day, count(*) AS n, max(minor)::bigint AS s,
        (array_agg((total / NULLIF(others, 0))::bigint ORDER BY minor DESC, at, total / NULLIF(others, 0)))[1] AS base,
        min(at) AS first_at, max(at) AS last_at
    FROM odd GROUP BY store_id, day
) AS h JOIN paid f ON f.minor >= 100000 AND f.store_id = h.store_id AND f.at BETWEEN h.first_at AND h.last_at
WHERE h.day >= %(since)s GROUP BY h.store_id, h.day, h.n, h.s, h.base, h.first_at, h.last_at
UNION ALL
SELECT 'night', f.store_id::text, f.night, count(*), sum(f.minor)::bigint, 0, min(f.at), max(f.at), {_SHOWN}
FROM night f WHERE f.night >= %(since)s GROUP BY f.store_id, f.night HAVING count(*) >= 5 AND sum(f.minor) >= 50000
UNION ALL
SELECT 'refund_rate', h.store_id::text, h.day, h.n, h.s, h.base, h.first_at, h.last_at, {_SHOWN}
FROM rated h JOIN refund f ON f.store_id = h.store_id AND f.at BETWEEN h.first_at AND h.last_at
WHERE h.last_at IS NOT NULL AND h.n >= 5 AND h.s::numeric * 100 >= h.base AND h.day >= %(since)s
GROUP BY h.store_id, h.day, h.n, h.s, h.base, h.first_at, h.last_at
"""  # noqa: S608  # put together of constants
#: A number for each row that looks like chance and is the same each time.
_CHANCE: Final = "abs(hashint8extended({n}, {seed}))"
_ORDERS: Final = f"""
INSERT INTO payments_order (id, merchant_id, store_id, code_id, token, amount_minor, currency, subject, note, state, source, created_at,
    expires_at, paid_at, taken_by_id)
SELECT n, %(merchant)s, %(store)s, (%(codes)s::bigint[])[1 + {_CHANCE.format(n="n", seed=1)} %% {CODES}], 't' || n,
    CASE WHEN {_CHANCE.format(n="n", seed=2)} %% 5000 = 0 THEN 200000
         WHEN {_CHANCE.format(n="n", seed=2)} %% 100 = 1 THEN 45000 + {_CHANCE.format(n="n", seed=3)} %% 5000
         ELSE 100 + {_CHANCE.format(n="n", seed=3)} %% 6000 END,
    'CNY', 'x', '', CASE WHEN n %% 60 = 0 THEN 'closed' ELSE 'paid' END, 'portal', at, at, at,
    CASE WHEN n %% 2 = 0 THEN (%(askers)s::bigint[])[1 + {_CHANCE.format(n="n", seed=4)} %% 4] END
FROM (SELECT n, %(now)s::timestamptz - (n * 7776000 / %(rows)s) * interval '1 second' AS at
      FROM generate_series(1::bigint, %(rows)s) n) made
"""  # noqa: S608  # put together of constants
_PAYMENTS: Final = f"""
INSERT INTO payments_payment (id, merchant_id, order_id, store_id, code_id, account_id, platform, wallet, product, order_no,
    platform_trade_no, amount_minor, currency, fee_minor, refund_reserved_minor, refunded_minor, state, source, payer_hash,
    payer_masked, handover, code_text, message, created_at, expires_at, payable_until, paid_at, booked_date, poll_count)
SELECT id, merchant_id, id, store_id, code_id, %(account)s, 'wechatpay', 'wechatpay', 'dynamic_qr', 'P' || id,
    CASE WHEN state = 'paid' THEN 'T' || id ELSE '' END, amount_minor, 'CNY', 0, 0, 0,
    CASE WHEN state = 'paid' THEN 'succeeded' ELSE 'failed' END, 'portal',
    CASE WHEN state = 'paid' THEN md5(({_CHANCE.format(n="id", seed=5)} %% 5000)::text) ELSE '' END, '', '{{}}', '', '', created_at,
    created_at, created_at, CASE WHEN state = 'paid' THEN created_at END,
    CASE WHEN state = 'paid' THEN (created_at AT TIME ZONE 'Asia/Shanghai')::date END, 0
FROM payments_order WHERE merchant_id = %(merchant)s
"""  # noqa: S608  # put together of constants
_REFUNDS: Final = """
INSERT INTO refunds_refund (id, merchant_id, payment_id, store_id, account_id, refund_no, platform_refund_no, amount_minor,
    currency, fee_minor, reason, reason_code, state, is_automatic, source, requested_by_id, rule_version, weighed_minor,
    code_text, message, created_at, poll_count)
SELECT id, merchant_id, id, store_id, account_id, 'R' || id, '', amount_minor, 'CNY', 0, 'x', 'other', 'processing', false, 'portal',
    (%(askers)s::bigint[])[1 + id %% 4], 0, amount_minor, '', '', LEAST(%(now)s, created_at + interval '1 hour'), 0
FROM payments_payment WHERE merchant_id = %(merchant)s AND id %% 50 = 1 AND state = 'succeeded'
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """How often."""
    parser.add_argument("--repeats", type=int, default=5)


def run(options: Options) -> Result:
    """Floor and ours by turns on the same rows."""
    rows = options.rows or 1_000_000
    wrong: list[str] = []
    with own_database("risk", options):
        merchant = make_merchant(0, make_keys())
        with enter_scope(Scope(merchant.pk)):
            codes = _build(merchant, rows)
            draft = _draft()
            today = clock.business_date(NOW)
            since = today - timedelta(days=DAYS - 1)
            begins = since - timedelta(days=lookback_days([draft]))
            values = {
                "merchant": merchant.pk,
                "now": NOW,
                "since": since,
                "from": clock.business_period(begins)[0],
                "booked": begins - timedelta(days=1),
            }

            def ours() -> list[Finding]:
                return find(facts_since(begins, now=NOW), draft, since=since)

            def floor() -> list[tuple[Any, ...]]:
                return sql.every(_BY_HAND, values)

            found = ours()
            by_rule = {kind.value: sum(one.rule is kind for one in found) for kind in DRAFT}
            say(f"  {len(found)} findings: {by_rule}")
            if not all(by_rule.values()):
                wrong.append("a rule finds nothing, so nothing is compared")
            if _said(found) != _said_by_hand(floor()):
                wrong.append("the two statements differ")
            if not _as_one_by_one(draft, today):
                wrong.append("the statement differs from going through the facts one by one")
            pairs: list[tuple[float, float]] = []
            for turn in range(options.given.repeats):
                # Whichever comes second finds the rows at hand, so they take turns.
                first, second = (floor, ours) if turn % 2 else (ours, floor)
                times = {first: _timed(first), second: _timed(second)}
                pairs.append((times[floor], times[ours]))
            judge_ms, statements = _judge(codes[0])
    if statements > MOST_STATEMENTS:
        wrong.append(f"judging one payment takes {statements} statements")
    floor_s, ours_s = middle_pair(pairs)
    say(f"  floor {spread([a for a, _ in pairs])} s, ours {spread([b for _, b in pairs])} s")
    say(f"  judging one payment: {judge_ms:.2f} ms, {statements} statements")
    return Result(
        name="risk",
        rows=rows,
        floor_s=floor_s,
        ours_s=ours_s,
        peak_rss_mb=peak_rss_mb(),
        met=ours_s <= MOST * floor_s,
        wrong=wrong,
        more={
            "findings": by_rule,
            "ratios": [round(b / a, 3) for a, b in pairs],
            "judge_ms": round(judge_ms, 3),
            "judge_statements": statements,
        },
    )


def _draft() -> Rules:
    return {
        kind: replace(rule, is_on=kind in DRAFT, values={**rule.values, **DRAFT.get(kind, {})})
        for kind, rule in read_rules({}).items()
    }


def _build(merchant: Merchant, rows: int) -> list[QRCode]:
    """The books; the codes."""
    store = Store.objects.get()
    codes = [
        create_code(
            store_id=store.pk, kind="counter", name=f"码 {n}", actor=Actor("bench"), now=NOW
        )
        for n in range(CODES)
    ]
    askers = []
    for number in range(4):
        asker = User.objects.create_user(f"asker{number}@bench.test", "secret")
        Membership.objects.create(merchant=merchant, user=asker, role=Role.CASHIER)
        askers.append(asker.pk)
    facts: dict[str, Any] = {
        "merchant": merchant.pk,
        "store": store.pk,
        "account": PlatformAccount.objects.get().pk,
        "rows": rows,
        "now": NOW,
        "codes": [code.pk for code in codes],
        "askers": askers,
    }
    with connection.cursor() as cursor:
        for statement in (_ORDERS, _PAYMENTS, _REFUNDS):
            began = time.perf_counter()
            cursor.execute(statement, facts)
            say(f"  {cursor.rowcount} rows in {time.perf_counter() - began:.1f} s")
        for table in ("payments_order", "payments_payment", "refunds_refund"):
            cursor.execute(f"VACUUM ANALYZE {table}")
    return codes


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _said(found: list[Finding]) -> set[tuple[Any, ...]]:
    return {
        (
            one.rule.value,
            one.subject,
            one.day,
            one.count,
            one.minor,
            one.base_minor,
            one.first_at,
            one.last_at,
            _facts(one.shown),
        )
        for one in found
    }


def _said_by_hand(rows: list[tuple[Any, ...]]) -> set[tuple[Any, ...]]:
    return {(*row[:5], row[5] or 0, *row[6:8], _facts(row[8])) for row in rows}


def _facts(shown: Any) -> tuple[tuple[Any, ...], ...]:
    many = json.loads(shown) if isinstance(shown, str) else shown
    return tuple((one["order"], one["at"], one["minor"], one["kind"]) for one in many)


def _as_one_by_one(draft: Rules, today: date) -> bool:
    """Whether the last days' findings are those of the slow count; rules that look back a month are left to the tests."""
    few = {
        kind: replace(rule, is_on=rule.is_on and kind not in _FAR) for kind, rule in draft.items()
    }
    since = today - timedelta(days=ORACLE_DAYS - 1)
    facts = facts_since(since - timedelta(days=lookback_days([few])), now=NOW)
    slow = expected([Fact(*row) for row in facts], few, since=since, starts=datetime.min.time())
    quick = find(facts, few, since=since)
    return slow == {
        (
            one.rule.value,
            one.subject,
            one.day,
            one.count,
            one.minor,
            one.base_minor,
            one.first_at,
            one.last_at,
            one.store_id,
            tuple((fact["order"], fact["minor"]) for fact in one.shown),
        )
        for one in quick
    }


def _judge(code: QRCode) -> tuple[float, int]:
    """Milliseconds for one payment that two rules look at, the middle of many; and the most statements, where one is held."""
    rules = {
        kind: replace(
            rule,
            is_on=kind in {RuleKind.CODE_DAY, RuleKind.PAYER_DAY},
            outcome=Outcome.HOLD if kind is RuleKind.CODE_DAY else rule.outcome,
            values={**rule.values, **({"minor": 10_000_000} if "minor" in rule.values else {})},
        )
        for kind, rule in read_rules({}).items()
    }
    orders = list(Order.objects.filter(code_id=code.pk).order_by("id")[:200])
    payer = "somebody"

    def in_force(version: int) -> None:
        RiskRuleBook.objects.create(
            version=version,
            effective_from=clock.business_date(NOW),
            rules=write_rules(rules),
            created_at=NOW,
        )

    in_force(1)
    times = sorted(
        _timed(lambda one=one: judge(order=one, payer_id=payer, now=NOW))  # type: ignore[misc]  # bound at once
        for one in orders
    )
    rules[RuleKind.CODE_DAY] = replace(rules[RuleKind.CODE_DAY], values={"minor": 1})
    in_force(2)
    with CaptureQueriesContext(connection) as queries, contextlib.suppress(PaymentHeld):
        judge(order=orders[0], payer_id=payer, now=NOW)
    return times[len(times) // 2] * 1000, len(queries)
