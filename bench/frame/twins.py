"""Reconciliation in plain SQL on twins of our tables: the floor of ``bench.reconcile``.

The twins have the same columns, indexes, checks and foreign keys, and neither policies nor triggers.
"""

from __future__ import annotations

import time as clock
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from django.db import connection, transaction

from apps.core.clock import CHINA

TWINS = (
    "payments_payment",
    "refunds_refund",
    "statements_statement",
    "statements_statementline",
    "reconciliation_reconciliationrun",
    "reconciliation_match",
    "reconciliation_difference",
)


@contextmanager
def timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    """Note how long the block takes."""
    began = clock.perf_counter()
    yield
    seconds[name] = clock.perf_counter() - began


def make_twins() -> None:
    """Tables of the same columns, indexes, checks and foreign keys in a schema of their own; the books are copied."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA twin")
        for table in TWINS:
            cursor.execute(f"CREATE TABLE twin.{table} (LIKE public.{table} INCLUDING ALL)")
        for table in TWINS:
            cursor.execute(
                "SELECT conname, pg_get_constraintdef(oid), confrelid::regclass::text FROM pg_constraint"
                " WHERE contype = 'f' AND conrelid = %s::regclass",
                [f"public.{table}"],
            )
            for name, definition, parent in cursor.fetchall():
                bare = parent.split(".")[-1].strip('"')
                if bare in TWINS:
                    definition = definition.replace(
                        f"REFERENCES {parent}(", f"REFERENCES twin.{bare}("
                    )
                cursor.execute(f"ALTER TABLE twin.{table} ADD CONSTRAINT {name} {definition}")
        for table in TWINS[:2]:
            cursor.execute(
                "SELECT string_agg(quote_ident(column_name), ', ') FROM information_schema.columns"
                " WHERE table_schema = 'public' AND table_name = %s AND is_generated = 'NEVER'",
                [table],
            )
            (columns,) = cursor.fetchone()
            cursor.execute(
                f"INSERT INTO twin.{table} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM public.{table}"  # noqa: S608  # our own names
            )
        tables = ", ".join(f"twin.{table}" for table in TWINS)
        cursor.execute(f"VACUUM ANALYZE payments_order, payments_payment, refunds_refund, {tables}")


COLUMNS = (
    "row, kind, order_no, refund_no, platform_trade_no, platform_refund_no, amount_minor, fee_minor, currency,"
    " occurred_at, status, product, raw"
)
STAGING = """
CREATE TEMPORARY TABLE floor_staging (
    row int, kind text, order_no text, refund_no text, platform_trade_no text, platform_refund_no text,
    amount_minor bigint, fee_minor bigint, currency text, occurred_at timestamptz, status text, product text, raw jsonb
) ON COMMIT DROP
"""
_STORE = f"""
INSERT INTO twin.statements_statementline (merchant_id, statement_id, {COLUMNS})
SELECT %(merchant)s, %(statement)s, {COLUMNS} FROM floor_staging
"""  # noqa: S608  # our own names
# Two full joins, by the platform's number: what stands on both sides with one amount and fee is a pair, all else differs.
_JOIN = """
CREATE TEMPORARY TABLE floor_joined ON COMMIT DROP AS
SELECT l.id AS line_id, p.id AS payment_id, NULL::bigint AS refund_id, l.amount_minor AS their, p.amount_minor AS our,
       l.fee_minor AS their_fee, p.fee_minor AS our_fee
FROM (SELECT * FROM twin.statements_statementline WHERE statement_id = %(statement)s AND kind = 'payment') l
FULL JOIN (
    SELECT * FROM twin.payments_payment WHERE merchant_id = %(merchant)s AND account_id = %(account)s
       AND state = 'succeeded' AND paid_at >= %(from)s AND paid_at < %(until)s
) p ON p.platform_trade_no = l.platform_trade_no
UNION ALL
SELECT l.id, NULL, r.id, l.amount_minor, r.amount_minor, l.fee_minor, -r.fee_minor
FROM (SELECT * FROM twin.statements_statementline WHERE statement_id = %(statement)s AND kind = 'refund') l
FULL JOIN (
    SELECT * FROM twin.refunds_refund WHERE merchant_id = %(merchant)s AND account_id = %(account)s
       AND state = 'succeeded' AND accepted_at >= %(from)s AND accepted_at < %(until)s
) r ON r.platform_refund_no = l.platform_refund_no
"""
_CLEAN = "line_id IS NOT NULL AND COALESCE(payment_id, refund_id) IS NOT NULL AND their = our AND their_fee = our_fee"
_PAIRS = f"""
INSERT INTO twin.reconciliation_match
    (merchant_id, run_id, line_id, payment_id, refund_id, rule, is_inferred, amount_minor, fee_minor)
SELECT %(merchant)s, %(run)s, line_id, payment_id, refund_id, 'their_number', false, our, our_fee
FROM floor_joined WHERE {_CLEAN}
"""  # noqa: S608  # our own names
_DIFFERING = f"""
INSERT INTO twin.reconciliation_difference
    (merchant_id, run_id, type, state, line_id, payment_id, refund_id, their_minor, our_minor, their_fee_minor,
     our_fee_minor, gap_minor, net_gap_minor, detail, adjusted_minor)
SELECT %(merchant)s, %(run)s, CASE WHEN line_id IS NULL THEN 'missing_there' WHEN our IS NULL THEN 'missing_here'
           ELSE 'amount' END, 'open', line_id, payment_id, refund_id, their, our, their_fee, our_fee,
       COALESCE(their, 0) - COALESCE(our, 0), 0, '{{}}', 0
FROM floor_joined WHERE ({_CLEAN}) IS NOT TRUE
"""  # noqa: S608  # our own names


def floor(
    *, merchant: int, account: int, day: date, canonical: Path, seconds: dict[str, float]
) -> int:
    """Store the canonical CSV and match it in plain SQL; how many rows were stored. Call it in the merchant's scope."""
    from_at = datetime.combine(day, time(0), tzinfo=CHINA)
    values: dict[str, Any] = {
        "merchant": merchant,
        "account": account,
        "statement": 1,
        "run": 1,
        "from": from_at,
        "until": from_at + timedelta(days=1),
    }
    with timed(seconds, "floor_store"), transaction.atomic(), connection.cursor() as cursor:
        _parents(cursor, values)
        cursor.execute(STAGING)
        with (
            cursor.copy(f"COPY floor_staging ({COLUMNS}) FROM STDIN (FORMAT csv)") as copy,
            canonical.open("rb") as file,
        ):
            while piece := file.read(1 << 20):
                copy.write(piece)
        cursor.execute(_STORE, values)
        stored = int(cursor.rowcount)
    with timed(seconds, "floor_match"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "SET LOCAL work_mem = '64MB'; SET LOCAL jit = off; SET LOCAL enable_nestloop = off"
        )
        for statement in (_JOIN, _PAIRS, _DIFFERING):
            cursor.execute(statement, values)
    return stored


def _parents(cursor: Any, values: dict[str, Any]) -> None:
    cursor.execute(
        "INSERT INTO twin.statements_statement (id, merchant_id, account_id, kind, day, version, is_current, is_asked, filename,"
        " sha256, byte_count, imported_at, payment_count, payment_minor, refund_count, refund_minor, fee_minor, fees_known,"
        " unknown_columns) OVERRIDING SYSTEM VALUE VALUES (1, %(merchant)s, %(account)s, 'trade', %(from)s, 1, true, false,"
        " '', '', 0, now(), 0, 0, 0, 0, 0, true, '[]')",
        values,
    )
    cursor.execute(
        "INSERT INTO twin.reconciliation_reconciliationrun (id, merchant_id, account_id, day, statement_id, is_current,"
        " started_at, matched_count, matched_payment_minor, matched_refund_minor, difference_count, their_net_minor,"
        " our_net_minor, outside_count) OVERRIDING SYSTEM VALUE VALUES (1, %(merchant)s, %(account)s, %(from)s, 1, true, now(), 0, 0, 0,"
        " 0, 0, 0, 0)",
        values,
    )
