"""Refunds that began at the platform, booked from its bill: any number of them by a few statements.

The same meaning as a refund that ``apply_refund_result`` finds done; none goes beyond what is left of its payment.
"""

from __future__ import annotations

from typing import Final

from django.db import connection
from psycopg import sql as names

from apps.core.tenancy import current_merchant_id
from apps.ledger.models import Purpose
from apps.ledger.services import Side, post_many
from apps.platforms.fees import PPM
from apps.platforms.models import PlatformAccount

_HOLD: Final = """
SELECT FROM payments_payment p
WHERE p.merchant_id = %(merchant)s AND p.id IN (SELECT target FROM {source} WHERE target > 0)
ORDER BY p.id FOR NO KEY UPDATE
"""
#: One refund of each payment a round, in the bill's order, as ``request_refund`` and ``_fee_back`` do it one by one.
_ROUND: Final = """
WITH first AS (
    SELECT DISTINCT ON (target) target, row FROM {refunds} WHERE verdict = '' ORDER BY target, row
), decided AS (
    UPDATE {refunds} r
    SET verdict = CASE WHEN r.amount_minor <= p.amount_minor - p.reserved_minor THEN 'book' ELSE 'too_much' END,
        fee_minor = COALESCE(r.fee_minor, LEAST(r.amount_minor, GREATEST(0,
            div(2 * p.fee_minor::numeric * %(back)s * (p.reserved_minor + r.amount_minor) + 1000000 * p.amount_minor,
                2000000 * p.amount_minor::numeric)::bigint
            - p.fee_back_minor)))
    FROM first f JOIN {payments} p ON p.target = f.target
    WHERE r.target = f.target AND r.row = f.row
    RETURNING r.target, r.verdict, r.amount_minor, r.fee_minor
)
UPDATE {payments} p
SET reserved_minor = p.reserved_minor + d.amount_minor, fee_back_minor = p.fee_back_minor + d.fee_minor
FROM decided d WHERE d.target = p.target AND d.verdict = 'book'
"""
_UNDECIDED: Final = "SELECT EXISTS (SELECT FROM {refunds} WHERE verdict = '')"

_NUMBERED: Final = """
CREATE TEMPORARY TABLE outside_posting ON COMMIT DROP AS
SELECT nextval(pg_get_serial_sequence('refunds_refund', 'id')) AS subject_id, -s.fee_minor AS fee_back,
       s.fee_minor - s.amount_minor AS receivable, s.*
FROM (SELECT * FROM {source} ORDER BY refunded_at, row) s
"""
_REFUNDS: Final = """
INSERT INTO refunds_refund (id, merchant_id, payment_id, store_id, account_id, refund_no, platform_refund_no, amount_minor,
    currency, fee_minor, reason, state, is_automatic, source, weighed_minor, code_text, message, created_at, accepted_at,
    refunded_at, booked_date, poll_count)
SELECT s.subject_id, %(merchant)s, s.target, p.store_id, %(account)s, s.number, s.platform_refund_no, s.amount_minor,
       s.currency, s.fee_minor, '', 'succeeded', false, 'platform', 0, '', '', s.refunded_at, s.refunded_at,
       s.refunded_at, s.booked_date, 0
FROM outside_posting s JOIN payments_payment p ON p.merchant_id = %(merchant)s AND p.id = s.target
ON CONFLICT DO NOTHING
"""
_FORGET: Final = """
DELETE FROM outside_posting s WHERE NOT EXISTS (
    SELECT FROM refunds_refund r WHERE r.merchant_id = %(merchant)s AND r.id = s.subject_id)
"""
_PAYMENTS: Final = """
UPDATE payments_payment p
SET refund_reserved_minor = p.refund_reserved_minor + s.total, refunded_minor = p.refunded_minor + s.total
FROM (SELECT target, sum(amount_minor) AS total FROM outside_posting GROUP BY target) s
WHERE p.merchant_id = %(merchant)s AND p.id = s.target
"""
_TELL: Final = """
UPDATE {source} s SET refund_id = b.subject_id FROM outside_posting b WHERE b.line_id = s.line_id
"""


def hold_payments(*, source: str) -> None:
    """Lock the payments that the rows of ``source`` name as ``target``, so that nobody refunds them meanwhile."""
    with connection.cursor() as cursor:
        cursor.execute(
            names.SQL(_HOLD).format(source=names.Identifier(source)),
            {"merchant": current_merchant_id()},
        )


def weigh_outside_refunds(*, refunds: str, payments: str, back_ppm: int = PPM) -> None:
    """Decide for each undecided row of the temporary table ``refunds`` whether its payment still has so much.

    ``verdict`` becomes ``book`` or ``too_much``; a fee that the bill does not tell (``fee_minor`` None) becomes the part that
    comes back, of which ``back_ppm`` millionths. Columns of ``refunds``: ``target``, ``row``, ``amount_minor``, ``fee_minor``, ``verdict``; of ``payments``:
    ``target``, ``amount_minor``, ``fee_minor``, ``reserved_minor``, ``fee_back_minor`` (of refunds so far).
    """
    relations = {"refunds": names.Identifier(refunds), "payments": names.Identifier(payments)}
    one_round = names.SQL(_ROUND).format(**relations)
    undecided = names.SQL(_UNDECIDED).format(**relations)
    with connection.cursor() as cursor:
        while True:
            cursor.execute(undecided)
            row = cursor.fetchone()
            if row is None or not row[0]:
                return
            cursor.execute(one_round, {"back": back_ppm})


def book_outside_refunds(*, source: str, account: PlatformAccount) -> int:
    """Book each row of the temporary table ``source`` in the caller's transaction, which holds its payments; how many.

    Its columns: ``line_id``, ``row``, ``target`` (the payment), ``number`` (becomes our number), ``platform_refund_no``,
    ``amount_minor``, ``fee_minor``, ``currency``, ``refunded_at``, ``booked_date`` (an open day that is held), and
    ``refund_id``, which is filled in. A row whose number is there already is left out. Raises IntegrityError for more than
    a payment has left.
    """
    values = {"merchant": current_merchant_id(), "account": account.pk}
    relation = names.Identifier(source)
    with connection.cursor() as cursor:
        cursor.execute(names.SQL(_NUMBERED).format(source=relation))
        staged = cursor.rowcount
        cursor.execute(_REFUNDS, values)
        if cursor.rowcount < staged:
            cursor.execute(_FORGET, values)
        cursor.execute(_PAYMENTS, values)
        cursor.execute("ANALYZE outside_posting")
        booked = post_many(
            source="outside_posting",
            kind="refund",
            subject_kind="refund",
            at_column="refunded_at",
            memo_column="number",
            sides=[
                Side(purpose=Purpose.REFUNDS, column="amount_minor"),
                Side(purpose=Purpose.FEES, column="fee_back"),
                Side(purpose=Purpose.RECEIVABLE, column="receivable", subject_id=account.pk),
            ],
        )
        cursor.execute(names.SQL(_TELL).format(source=relation))
        cursor.execute("DROP TABLE outside_posting")
    return booked
