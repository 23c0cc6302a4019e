"""A draft of the refund rules on 90 days: a million payments, one refund of fifty, beside today's rules.

Ours is ``refunds.selectors.simulate``: any draft as one statement over the decisions that were kept. The floor is one statement
written by hand for this one draft over the same rows, with the same result. Both are checked against ``decide`` in Python, row by
row. For comparison the same is computed from payments and refunds alone, by hand, as it would have to be if decisions kept
nothing; and assessing single refunds is timed, its statements counted.
"""

from __future__ import annotations

import argparse
import importlib
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import User
from apps.core import sql
from apps.core.money import Money
from apps.core.rules import decide
from apps.core.tenancy import Scope, enter_scope
from apps.merchants.models import Membership, Merchant, Role, Store
from apps.payments.models import Payment
from apps.platforms.models import PlatformAccount
from apps.refunds.models import RefundDecision
from apps.refunds.rulefacts import FACTS, refund_book
from apps.refunds.selectors import assess, default_book, simulate
from bench.frame.database import own_database
from bench.frame.result import Options, Result, middle_pair, peak_rss_mb, say, spread
from bench.frame.world import make_keys, make_merchant

#: The target: times the floor.
MOST = 1.5
#: One refund of so many payments.
ONE_OF = 50
MOST_STATEMENTS = 3
NOW = datetime.fromisoformat("2026-11-24T10:30:00+08:00")
DRAFT: Final[dict[str, Any]] = {
    "rules": [
        {"when": {"total": {"over": 50_000}}, "outcome": "one_finance"},
        {"when": {"asker_sum_1": {"over": 30_000}, "asker": {"is": ["cashier"]}}, "outcome": "one"},
        {"when": {"age": {"over": 10_080}}, "outcome": "two"},
        {"when": {"minute": {"from": 1_320, "until": 360}}, "outcome": "one"},
        {"when": {"payer_count_7": {"over": 3}}, "outcome": "refuse"},
        {"when": {"share": {"up_to": 5_000}, "reason": {"is": ["quality"]}}, "outcome": "at_once"},
    ],
    "otherwise": "one",
}
_RESULT: Final = """
SELECT today, draft, count(*), sum(amount)::bigint, count(*) FILTER (WHERE is_rebuilt),
       (array_agg(refund_id ORDER BY decided_at DESC, refund_id DESC))[1:20]
FROM ({rows}) judged GROUP BY today, draft ORDER BY today, draft
"""
_BY_HAND: Final = _RESULT.format(
    rows="""
    SELECT refund_id, decided_at, amount, is_rebuilt, CASE WHEN total > 20000 THEN 1 ELSE 0 END AS today,
           CASE WHEN total > 50000 THEN 1
                WHEN asker_sum_1 > 30000 AND asker = 'cashier' THEN 2
                WHEN age > 10080 THEN 3
                WHEN minute <= 359 OR minute > 1319 THEN 4
                WHEN payer_count_7 > 3 THEN 5
                WHEN share <= 5000 AND reason = 'quality' THEN 6
                ELSE 0 END AS draft
    FROM refunds_refunddecision WHERE merchant_id = %s AND decided_at >= %s AND decided_at < %s"""
)
#: The same facts, from what payments and refunds say; only those that the draft weighs.
_FROM_THE_BOOKS: Final = _RESULT.format(
    rows="""
    SELECT refund_id, decided_at, amount, true AS is_rebuilt, CASE WHEN total > 20000 THEN 1 ELSE 0 END AS today,
           CASE WHEN total > 50000 THEN 1
                WHEN asker_sum_1 > 30000 AND asker = 'cashier' THEN 2
                WHEN age > 10080 THEN 3
                WHEN minute <= 359 OR minute > 1319 THEN 4
                WHEN payer_count_7 > 3 THEN 5
                WHEN share <= 5000 AND reason = 'quality' THEN 6
                ELSE 0 END AS draft
    FROM (
        SELECT r.id AS refund_id, r.created_at AS decided_at, r.amount_minor AS amount, r.weighed_minor AS total,
            (r.weighed_minor * 10000 + p.amount_minor - 1) / p.amount_minor AS share, r.reason_code AS reason,
            floor(extract(epoch FROM r.created_at - p.paid_at) / 60)::int AS age, m.role AS asker,
            (extract(hour FROM r.created_at AT TIME ZONE 'Asia/Shanghai') * 60
             + extract(minute FROM r.created_at AT TIME ZONE 'Asia/Shanghai'))::int AS minute,
            sum(r.amount_minor) OVER (PARTITION BY r.requested_by_id ORDER BY r.created_at
                RANGE BETWEEN interval '1 day' PRECEDING AND CURRENT ROW EXCLUDE TIES) AS asker_sum_1,
            count(*) OVER (PARTITION BY p.payer_hash ORDER BY r.created_at
                RANGE BETWEEN interval '7 days' PRECEDING AND CURRENT ROW EXCLUDE TIES) AS payer_count_7
        FROM refunds_refund r
        JOIN payments_payment p ON p.merchant_id = r.merchant_id AND p.id = r.payment_id
        LEFT JOIN merchants_membership m ON m.merchant_id = r.merchant_id AND m.user_id = r.requested_by_id
        WHERE r.merchant_id = %s
    ) asked WHERE decided_at >= %s AND decided_at < %s"""
)
_ORDERS: Final = """
INSERT INTO payments_order (id, merchant_id, store_id, token, amount_minor, currency, subject, note, state, source, created_at,
    expires_at, paid_at)
SELECT n, %(merchant)s, %(store)s, 't' || n, 100 + (n * 7919) %% 120000, 'CNY', 'x', '', 'paid', 'portal', at, at, at
FROM (SELECT n, %(now)s::timestamptz - (n * 7776000 / %(rows)s) * interval '1 second' AS at
      FROM generate_series(1::bigint, %(rows)s) n) made
"""
_PAYMENTS: Final = """
INSERT INTO payments_payment (id, merchant_id, order_id, store_id, account_id, platform, wallet, product, order_no,
    platform_trade_no, amount_minor, currency, fee_minor, refund_reserved_minor, refunded_minor, state, source, payer_hash,
    payer_masked, handover, code_text, message, created_at, expires_at, payable_until, paid_at, booked_date, poll_count)
SELECT id, merchant_id, id, store_id, %(account)s, 'wechatpay', 'wechatpay', 'dynamic_qr', 'P' || id, 'T' || id, amount_minor,
    'CNY', 0, 0, 0, 'succeeded', 'portal', md5((id %% 5000)::text), '', '{}', '', '', created_at, created_at, created_at,
    created_at, created_at::date, 0
FROM payments_order WHERE merchant_id = %(merchant)s
"""
_REFUNDS: Final = """
INSERT INTO refunds_refund (id, merchant_id, payment_id, store_id, account_id, refund_no, platform_refund_no, amount_minor,
    currency, fee_minor, reason, reason_code, state, is_automatic, source, requested_by_id, rule_version, weighed_minor,
    code_text, message, created_at, poll_count)
SELECT id, merchant_id, id, store_id, account_id, 'R' || id, '', minor, 'CNY', 0, 'x',
    (ARRAY['quality', 'mistake', 'other'])[1 + id %% 3], 'processing', false, 'portal',
    (%(askers)s::bigint[])[1 + id / %(one_of)s %% 4], 0, minor, '', '', at, 0
FROM (SELECT p.*, 1 + (p.id * 104729) %% p.amount_minor AS minor,
             LEAST(%(now)s, p.created_at + (p.id * 31 %% 1200000) * interval '1 second') AS at
      FROM payments_payment p WHERE p.merchant_id = %(merchant)s AND p.id %% %(one_of)s = 0) made
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """How often."""
    parser.add_argument("--repeats", type=int, default=9)


def run(options: Options) -> Result:
    """Floor and ours by turns on the same rows."""
    rows = options.rows or 1_000_000
    wrong: list[str] = []
    with own_database("rules", options):
        merchant = make_merchant(0, make_keys())
        with enter_scope(Scope(merchant.pk)):
            cashier = _build(merchant, rows)
            values = [merchant.pk, NOW - timedelta(days=90), NOW]
            draft, today = refund_book(DRAFT), refund_book(default_book().content)

            def ours() -> list[tuple[Any, ...]]:
                found = simulate(draft=draft, today=today, now=NOW)
                return [
                    (
                        one.today_rule,
                        one.draft_rule,
                        one.count,
                        one.sum_minor,
                        one.rebuilt,
                        list(one.refund_ids),
                    )
                    for one in found.groups
                ]

            def floor() -> list[tuple[Any, ...]]:
                return sql.every(_BY_HAND, values)

            if ours() != floor():
                wrong.append("the two statements differ")
            if _counts(ours()) != _slow_counts(draft, today, values):
                wrong.append("the statement differs from deciding one by one")
            pairs: list[tuple[float, float]] = []
            for turn in range(options.given.repeats):
                # Whichever comes second finds the rows at hand, so they take turns.
                first, second = (floor, ours) if turn % 2 else (ours, floor)
                times = {first: _timed(first), second: _timed(second)}
                pairs.append((times[floor], times[ours]))
            books_s = min(_timed(lambda: sql.every(_FROM_THE_BOOKS, values)) for _turn in range(2))
            assess_ms, statements = _assess(cashier)
    if statements > MOST_STATEMENTS:
        wrong.append(f"assessing one refund takes {statements} statements")
    floor_s, ours_s = middle_pair(pairs)
    say(f"  floor {spread([a for a, _ in pairs])} s, ours {spread([b for _, b in pairs])} s")
    say(f"  from payments and refunds by hand: {books_s:.3f} s")
    say(f"  assessing one refund: {assess_ms:.2f} ms, {statements} statements")
    return Result(
        name="rules",
        rows=rows,
        floor_s=floor_s,
        ours_s=ours_s,
        peak_rss_mb=peak_rss_mb(),
        met=ours_s <= MOST * floor_s,
        wrong=wrong,
        more={
            "refunds": rows // ONE_OF,
            "ratios": [round(b / a, 3) for a, b in pairs],
            "from_the_books_s": round(books_s, 4),
            "assess_ms": round(assess_ms, 3),
            "assess_statements": statements,
        },
    )


def _build(merchant: Merchant, rows: int) -> User:
    """The books and the decisions; the last of those who ask."""
    askers = []
    for number in range(4):
        asker = User.objects.create_user(f"asker{number}@bench.test", "secret")
        role = Role.CASHIER if number else Role.MANAGER
        Membership.objects.create(merchant=merchant, user=asker, role=role)
        askers.append(asker)
    facts: dict[str, Any] = {
        "merchant": merchant.pk,
        "store": Store.objects.get().pk,
        "account": PlatformAccount.objects.get().pk,
        "rows": rows,
        "now": NOW,
        "one_of": ONE_OF,
        "askers": [asker.pk for asker in askers],
    }
    decisions = importlib.import_module("apps.refunds.migrations.0007_rules_history").DECISIONS
    with connection.cursor() as cursor:
        for statement in (_ORDERS, _PAYMENTS, _REFUNDS, decisions):
            began = time.perf_counter()
            cursor.execute(statement, facts)
            say(f"  {cursor.rowcount} rows in {time.perf_counter() - began:.1f} s")
        for table in ("payments_payment", "refunds_refund", "refunds_refunddecision"):
            cursor.execute(f"VACUUM ANALYZE {table}")
    return askers[-1]


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _counts(rows: list[tuple[Any, ...]]) -> dict[tuple[int, int], tuple[int, int]]:
    return {(row[0], row[1]): (row[2], row[3]) for row in rows}


def _slow_counts(
    draft: Any, today: Any, values: list[Any]
) -> dict[tuple[int, int], tuple[int, int]]:
    """The same, each decision by itself."""
    counts: dict[tuple[int, int], tuple[int, int]] = {}
    found = RefundDecision.objects.filter(decided_at__gte=values[1], decided_at__lt=values[2])
    for facts in found.values(*FACTS).iterator():
        key = (decide(today, facts), decide(draft, facts))
        count, total = counts.get(key, (0, 0))
        counts[key] = (count + 1, total + facts["amount"])
    return counts


def _assess(cashier: User) -> tuple[float, int]:
    """Milliseconds for one refund, the middle of many; and statements."""
    payments = list(Payment.objects.order_by("-id")[:200])
    amount = Money(100)
    with CaptureQueriesContext(connection) as queries:
        assess(payments[0], amount, member_id=cashier.pk, now=NOW)
    times = sorted(
        _timed(lambda one=one: assess(one, amount, member_id=cashier.pk, now=NOW))  # type: ignore[misc]  # bound at once
        for one in payments
    )
    return times[len(times) // 2] * 1000, len(queries)
