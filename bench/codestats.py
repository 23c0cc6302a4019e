"""Statistics of all codes over 90 days: ``--rows`` scans and as many orders with their payments, two hundred codes in two stores.

Ours is ``reports.selectors.codes_table``, the page of all codes: figures by code and store, who has gone quiet, sorted rows. The floor is
one statement by hand over the same tables that brings the same figures by code and store and nothing else. Both by turns; every figure
of every code must be the same.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any, Final

from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.core import sql
from apps.core.audit import Actor
from apps.core.tenancy import Scope, enter_scope
from apps.merchants.models import Merchant, Store
from apps.platforms.models import PlatformAccount
from apps.qrcodes.batches import Row
from apps.qrcodes.models import QRCode
from apps.qrcodes.services import make_batch
from apps.qrcodes.terms import CodeTerms
from apps.reports.selectors import CodePeriod, codes_table
from bench.frame.database import own_database
from bench.frame.result import Options, Result, middle_pair, peak_rss_mb, say, spread
from bench.frame.world import make_keys, make_merchant

#: The target: times the floor. Ours also looks through all scans for codes that have gone quiet.
MOST = 2.0
MOST_STATEMENTS = 6
CODES = 200
DAYS = 90
NOW = datetime.fromisoformat("2026-11-24T10:30:00+08:00")
PERIOD = CodePeriod(date(2026, 11, 24) - timedelta(days=DAYS - 1), date(2026, 11, 24))

_SCANS: Final = """
INSERT INTO qrcodes_scan (merchant_id, code_id, store_id, at, wallet)
SELECT %(merchant)s, codes.ids[1 + n %% %(codes)s], codes.stores[1 + n %% %(codes)s],
    %(now)s::timestamptz - (n * 7600000 / %(rows)s) * interval '1 second', 'wechatpay'
FROM generate_series(1::bigint, %(rows)s) n,
    (SELECT array_agg(id ORDER BY id) AS ids, array_agg(store_id ORDER BY id) AS stores FROM qrcodes_qrcode) codes
"""
_ORDERS: Final = """
INSERT INTO payments_order (id, merchant_id, store_id, code_id, token, amount_minor, currency, subject, note, state, source, created_at,
    expires_at, paid_at)
SELECT n, %(merchant)s, codes.stores[1 + n %% %(codes)s], codes.ids[1 + n %% %(codes)s], 't' || n, 100 + (n * 7919) %% 120000, 'CNY',
    'x', '', 'paid', 'portal', at, at, at + (n %% 97) * interval '1 second'
FROM (SELECT n, %(now)s::timestamptz - (n * 7600000 / %(rows)s) * interval '1 second' AS at
      FROM generate_series(1::bigint, %(rows)s) n) made,
    (SELECT array_agg(id ORDER BY id) AS ids, array_agg(store_id ORDER BY id) AS stores FROM qrcodes_qrcode) codes
"""
_PAYMENTS: Final = """
INSERT INTO payments_payment (id, merchant_id, order_id, store_id, code_id, account_id, platform, wallet, product, order_no,
    platform_trade_no, amount_minor, currency, fee_minor, refund_reserved_minor, refunded_minor, state, source, payer_hash,
    payer_masked, handover, code_text, message, created_at, expires_at, payable_until, paid_at, booked_date, poll_count)
SELECT id, merchant_id, id, store_id, code_id, %(account)s, 'wechatpay', 'wechatpay', 'dynamic_qr', 'P' || id, 'T' || id, amount_minor,
    'CNY', 0, 0, 0, 'succeeded', 'portal', '', '', '{}', '', '', created_at, created_at, created_at,
    created_at, (created_at AT TIME ZONE 'Asia/Shanghai')::date, 0
FROM payments_order WHERE merchant_id = %(merchant)s
"""
_BY_HAND: Final = """
SELECT code_id, store_id, sum(scans)::bigint, sum(orders)::bigint, sum(begun)::bigint, sum(paid)::bigint, sum(payments)::bigint,
    sum(minor)::bigint, max(middle)
FROM (
    SELECT code_id, store_id, count(*) AS scans, 0 AS orders, 0 AS begun, 0 AS paid, 0 AS payments, 0 AS minor, NULL::bigint AS middle
    FROM qrcodes_scan WHERE merchant_id = %(merchant)s AND at >= %(start)s AND at < %(end)s GROUP BY 1, 2
    UNION ALL
    SELECT code_id, store_id, 0, count(*), count(*) FILTER (WHERE begun), count(paid_at), 0, 0,
        percentile_disc(0.5) WITHIN GROUP (ORDER BY floor(extract(epoch FROM paid_at - created_at))::bigint)
            FILTER (WHERE paid_at IS NOT NULL)
    FROM (SELECT o.*, EXISTS (SELECT FROM payments_payment p WHERE p.merchant_id = o.merchant_id AND p.order_id = o.id) AS begun
          FROM payments_order o
          WHERE merchant_id = %(merchant)s AND created_at >= %(start)s AND created_at < %(end)s AND code_id IS NOT NULL
            AND source = 'portal') opened
    GROUP BY GROUPING SETS ((code_id, store_id), ())
    UNION ALL
    SELECT code_id, store_id, 0, 0, 0, 0, count(*), sum(amount_minor), NULL FROM payments_payment
    WHERE merchant_id = %(merchant)s AND booked_date >= %(first)s AND booked_date <= %(last)s AND state = 'succeeded'
    GROUP BY 1, 2
) parts GROUP BY 1, 2 ORDER BY 1, 2
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """How often."""
    parser.add_argument("--repeats", type=int, default=5)


def run(options: Options) -> Result:
    """Floor and ours by turns on the same rows."""
    rows = options.rows or 1_000_000
    wrong: list[str] = []
    with own_database("codestats", options):
        merchant = make_merchant(0, make_keys())
        with enter_scope(Scope(merchant.pk)):
            _build(merchant, rows)
            values = {
                "merchant": merchant.pk,
                "start": PERIOD.start,
                "end": PERIOD.end,
                "first": PERIOD.first,
                "last": PERIOD.last,
            }

            def ours() -> tuple[list[tuple[Any, ...]], int | None]:
                table = codes_table(PERIOD, now=NOW, size=CODES)
                figures = {row.code.pk: (row.code.store_id, row.figures) for row in table.rows}
                return [
                    (
                        code,
                        store,
                        one.scans,
                        one.orders,
                        one.begun,
                        one.paid,
                        one.payment_count,
                        one.payment_minor,
                    )
                    for code, (store, one) in sorted(figures.items())
                ], table.median_seconds

            def floor() -> tuple[list[tuple[Any, ...]], int | None]:
                rows = sql.every(_BY_HAND, values)
                # The last one, of no code, holds the median over all.
                return [row[:-1] for row in rows[:-1]], rows[-1][-1]

            with CaptureQueriesContext(connection) as asked:
                told = ours()
            by_hand = floor()
            if len(told[0]) != CODES or told != by_hand:
                wrong.append(f"{len(told[0])} codes differ from {len(by_hand[0])} by hand")
            if sum(row[2] for row in told[0]) != rows:
                wrong.append("not every scan is counted")
            if len(asked) > MOST_STATEMENTS:
                wrong.append(f"{len(asked)} statements")
            for query in sorted(asked.captured_queries, key=lambda one: -float(one["time"]))[:3]:
                say(f"  {query['time']} s: {' '.join(query['sql'].split())[:90]} …")
            pairs: list[tuple[float, float]] = []
            for turn in range(options.given.repeats):
                # Whichever comes second finds the rows at hand, so they take turns.
                first, second = (floor, ours) if turn % 2 else (ours, floor)
                times = {first: _timed(first), second: _timed(second)}
                pairs.append((times[floor], times[ours]))
                say(f"  floor {pairs[-1][0]:.3f} s, ours {pairs[-1][1]:.3f} s")
    floor_s, ours_s = middle_pair(pairs)
    say(f"  floor {spread([a for a, _ in pairs])} s, ours {spread([b for _, b in pairs])} s")
    return Result(
        name="codestats",
        rows=rows,
        floor_s=floor_s,
        ours_s=ours_s,
        peak_rss_mb=peak_rss_mb(),
        met=ours_s <= MOST * floor_s,
        wrong=wrong,
        more={"ratios": [round(b / a, 3) for a, b in pairs], "statements": len(asked)},
    )


def _build(merchant: Merchant, rows: int) -> None:
    stores = [Store.objects.get(), Store.objects.create(name="二号店")]
    for number, store in enumerate(stores):
        make_batch(
            [
                Row(line, CodeTerms(store_id=store.pk, name=f"桌号 {line}"), kind="table")
                for line in range(1, CODES // 2 + 1)
            ],
            nonce=f"{number}",
            actor=Actor.system("bench"),
            now=NOW - timedelta(days=DAYS + 10),
        )
    facts: dict[str, Any] = {
        "merchant": merchant.pk,
        "account": PlatformAccount.objects.get().pk,
        "rows": rows,
        "codes": QRCode.objects.count(),
        "now": NOW,
    }
    with connection.cursor() as cursor:
        for statement in (_SCANS, _ORDERS, _PAYMENTS):
            began = time.perf_counter()
            cursor.execute(statement, facts)
            say(f"  {cursor.rowcount} rows in {time.perf_counter() - began:.1f} s")
        for table in ("qrcodes_scan", "payments_payment", "payments_order"):
            cursor.execute(f"VACUUM ANALYZE {table}")


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
