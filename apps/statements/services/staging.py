"""The rows of one bill in a temporary table: streamed into it by COPY, added up and stored from it by single statements.

Row-level security does not allow COPY into the table itself, and a file may turn out to be bad at its very end. The temporary
table belongs to the database session: it is gone with it, should the process be killed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from django.db import connection
from psycopg.pq import TransactionStatus

from apps.core.money import Money
from apps.platforms.gateway import BillReader, BillRow, StatementKind, StatementUnreadable
from apps.statements.models import Statement

COLUMNS: Final = (
    "row, kind, order_no, refund_no, platform_trade_no, platform_refund_no, amount_minor, fee_minor, occurred_at, status,"
    " product, flow_no, balance_minor, raw"
)
_TABLE: Final = """
CREATE TEMPORARY TABLE staged_line (
    row int, kind text, order_no text, refund_no text, platform_trade_no text, platform_refund_no text, amount_minor bigint,
    fee_minor bigint, occurred_at timestamptz, status text, product text, flow_no text, balance_minor bigint, raw jsonb
)
"""
#: Rows that are handed to COPY at once, and the seconds after which somebody is told how far it is.
_BATCH: Final = 1000
_NULL: Final = "\\N"
_TOLD_EVERY: Final = 1.0
#: For a fund bill the totals are of all income and all expense.
_SUMS: Final = """
SELECT count(*), count(*) FILTER (WHERE {side} = %(one)s), COALESCE(sum(amount_minor) FILTER (WHERE {side} = %(one)s), 0),
       count(*) FILTER (WHERE {side} = %(two)s), COALESCE(sum(amount_minor) FILTER (WHERE {side} = %(two)s), 0),
       COALESCE(sum(fee_minor), 0), COALESCE(bool_and(fee_minor IS NOT NULL), true)
FROM staged_line
"""
_TWICE: Final = """
SELECT max(row) FROM staged_line WHERE flow_no <> '' GROUP BY flow_no HAVING count(*) > 1 ORDER BY 1 LIMIT 1
"""
_STORE: Final = f"""
INSERT INTO statements_statementline (merchant_id, statement_id, currency, {COLUMNS})
SELECT %(merchant)s, %(statement)s, 'CNY', {COLUMNS} FROM staged_line
"""  # noqa: S608  # our own names
#: Our number stands in the payment's own row.
_NUMBER_REFUNDS: Final = """
UPDATE staged_line AS refund SET order_no = payment.order_no
FROM (SELECT DISTINCT ON (platform_trade_no) platform_trade_no, order_no FROM staged_line WHERE kind = 'payment'
      ORDER BY platform_trade_no, row DESC) AS payment
WHERE refund.kind = 'refund' AND payment.platform_trade_no = refund.platform_trade_no
"""

_USABLE: Final = (TransactionStatus.IDLE, TransactionStatus.INTRANS)

#: Told how many rows are staged; may raise to end it.
Watch = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """What the staged rows come to, in fen; unknown fees count as zero."""

    rows: int
    payment_count: int
    payment_minor: int
    refund_count: int
    refund_minor: int
    fee_minor: int
    fees_known: bool


@contextmanager
def staged(bill: BillReader, *, watch: Watch | None = None) -> Iterator[Sums]:
    """Have the bill's rows in the temporary table as long as the block runs, after holding them against its totals.

    Raises StatementUnreadable, and whatever ``watch`` raises, which is called about once a second between two COPYs.
    """
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS pg_temp.staged_line")
        cursor.execute(_TABLE)
    try:
        _copy(bill, watch)
        yield _checked(bill)
    finally:
        # In a transaction that has failed the table ends with it, as with a lost connection.
        found = connection.connection
        if found is not None and found.info.transaction_status in _USABLE:
            with connection.cursor() as cursor:
                cursor.execute("DROP TABLE IF EXISTS pg_temp.staged_line")


def store(statement: Statement) -> None:
    """Store what is staged as the rows of a statement."""
    with connection.cursor() as cursor:
        cursor.execute(_STORE, {"merchant": statement.merchant_id, "statement": statement.pk})


def _copy(bill: BillReader, watch: Watch | None) -> None:
    rows, count, more = bill.rows(), 0, True
    while more:
        trouble: StatementUnreadable | None = None
        with (
            connection.cursor() as cursor,
            cursor.copy(f"COPY staged_line ({COLUMNS}) FROM STDIN") as copy,
        ):
            until = time.monotonic() + _TOLD_EVERY
            while True:
                # An error that left this block would fail the COPY, and with it a transaction around it.
                try:
                    batch = list(islice(rows, _BATCH))
                except StatementUnreadable as error:
                    trouble = error
                    break
                copy.write("".join(map(_text, batch)))
                count += len(batch)
                more = len(batch) == _BATCH
                if not more or (watch is not None and time.monotonic() >= until):
                    break
        if trouble is not None:
            raise trouble
        if watch is not None:
            watch(count)


def _text(row: BillRow) -> str:
    """A row in COPY's text format."""
    (
        number, kind, order_no, refund_no, trade_no, refund_trade_no, amount, fee, at, status, product, flow_no, balance, raw,
        safe,
    ) = row  # fmt: skip
    if not safe:
        status, product, raw = _escaped(status), _escaped(product), _escaped(raw)
    return (
        f"{number}\t{kind}\t{order_no}\t{refund_no}\t{trade_no}\t{refund_trade_no}\t{amount}\t"
        f"{_NULL if fee is None else fee}\t{at}\t{status[:24]}\t{product[:24]}\t{flow_no}\t"
        f"{_NULL if balance is None else balance}\t{raw}\n"
    )


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def _checked(bill: BillReader) -> Sums:
    """The sums over the rows, after comparing them with what the bill itself states."""
    fund = bill.kind is StatementKind.FUND
    sides = {"one": "in", "two": "out"} if fund else {"one": "payment", "two": "refund"}
    with connection.cursor() as cursor:
        if bill.refunds_lack_order_no:
            cursor.execute(_NUMBER_REFUNDS)
        if bill.flow_column:
            cursor.execute(_TWICE)
            twice = cursor.fetchone()
            if twice is not None:
                raise StatementUnreadable(
                    "number_twice",
                    "two movements of one number",
                    line=twice[0],
                    column=bill.flow_column,
                )
        cursor.execute(_SUMS.format(side="status" if fund else "kind"), sides)
        found: tuple[Any, ...] = cursor.fetchone()
    rows, payments, paid, refunds, back, fees, known = found
    sums = Sums(
        rows=rows,
        payment_count=payments,
        payment_minor=int(paid),
        refund_count=refunds,
        refund_minor=int(back),
        fee_minor=int(fees),
        fees_known=known,
    )
    _compare(bill, sums)
    return sums


def _compare(bill: BillReader, sums: Sums) -> None:
    stated = bill.totals()
    pairs: tuple[tuple[str, int | Money | None, int | Money], ...] = (
        ("payments", stated.payment_count, sums.payment_count),
        ("payments", stated.payment_amount, Money(sums.payment_minor)),
        ("refunds", stated.refund_count, sums.refund_count),
        ("refunds", stated.refund_amount, Money(sums.refund_minor)),
    )
    for what, theirs, rows in pairs:
        if theirs is not None and theirs != rows:
            said, made = (
                each.display() if isinstance(each, Money) else str(each) for each in (theirs, rows)
            )
            raise StatementUnreadable(
                "totals", f"{what}: the bill says {said}, its rows make {made}"
            )
