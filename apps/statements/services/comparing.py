"""What changed from one version of a bill to the next, found once, as the next one is stored."""

from __future__ import annotations

from typing import Final

from django.db import connection

from apps.statements.models import Statement

#: Rows are the same where the platform's numbers are; of several with the same numbers the first goes with the first.
_LINES: Final = """
SELECT id, row, kind, order_no, refund_no, platform_trade_no, platform_refund_no, amount_minor, fee_minor, occurred_at,
       status, currency, flow_no, balance_minor, COALESCE(NULLIF(platform_trade_no, ''), order_no) AS known_by,
       row_number() OVER (
           PARTITION BY kind, COALESCE(NULLIF(platform_trade_no, ''), order_no), platform_refund_no, refund_no, flow_no
           ORDER BY row
       ) AS nth
FROM statements_statementline WHERE merchant_id = %(merchant)s AND statement_id = {which}
"""
_READ: Final = (
    "({side}.order_no, {side}.amount_minor, {side}.fee_minor, {side}.occurred_at, {side}.status, {side}.currency,"
    " {side}.balance_minor)"
)
_COMPARE: Final = f"""
INSERT INTO statements_statementchange (merchant_id, statement_id, kind, line_id, before_id)
SELECT %(merchant)s, %(statement)s,
       CASE WHEN was.id IS NULL THEN 'added' WHEN now.id IS NULL THEN 'removed' ELSE 'changed' END, now.id, was.id
FROM ({_LINES.format(which="%(before)s")}) AS was
FULL JOIN ({_LINES.format(which="%(statement)s")}) AS now
  ON (was.kind, was.known_by, was.platform_refund_no, was.refund_no, was.flow_no, was.nth)
   = (now.kind, now.known_by, now.platform_refund_no, now.refund_no, now.flow_no, now.nth)
WHERE was.id IS NULL OR now.id IS NULL OR {_READ.format(side="was")} IS DISTINCT FROM {_READ.format(side="now")}
ORDER BY COALESCE(now.row, was.row), now.id NULLS FIRST
"""  # noqa: S608  # our own names


def compare(statement: Statement, *, before: Statement) -> None:
    """Write down in which rows a version differs from the one before it. Inside the caller's transaction."""
    with connection.cursor() as cursor:
        # Both sides are bulk that nothing is known of yet: never row by row.
        cursor.execute("SET LOCAL enable_nestloop = off")
        cursor.execute(
            _COMPARE,
            {
                "merchant": statement.merchant_id,
                "statement": statement.pk,
                "before": before.pk,
            },
        )
        cursor.execute("SET LOCAL enable_nestloop = on")
