"""Payments that began at the platform, booked from its bill: any number of them by a few statements.

The same meaning as a payment that ``apply_payment_result`` finds paid: the order is paid, the journal holds the entry, and each
is there once. Nobody asks the platform about them, and no page is told one by one.
"""

from __future__ import annotations

from typing import Final

from django.db import connection
from psycopg import sql as names

from apps.core.tenancy import current_merchant_id
from apps.ledger.models import Purpose
from apps.ledger.services import Side, post_many
from apps.platforms.models import PlatformAccount

_STAGED: Final = "outside_posting"
_NUMBERED: Final = """
CREATE TEMPORARY TABLE outside_posting ON COMMIT DROP AS
SELECT nextval(pg_get_serial_sequence('payments_payment', 'id')) AS subject_id,
       nextval(pg_get_serial_sequence('payments_order', 'id')) AS order_id,
       s.amount_minor - s.fee_minor AS receivable, -s.amount_minor AS sales, s.*
FROM (SELECT * FROM {source} ORDER BY paid_at, line_id) s
"""
#: A number or platform's number that is there already belongs to another transaction's booking of the same fact.
_PAYMENTS: Final = """
INSERT INTO payments_payment (id, merchant_id, order_id, store_id, account_id, platform, wallet, product, order_no,
    platform_trade_no, amount_minor, currency, fee_minor, refund_reserved_minor, refunded_minor, state, source, payer_hash,
    payer_masked, handover, code_text, message, created_at, expires_at, payable_until, paid_at, booked_date, poll_count)
SELECT s.subject_id, %(merchant)s, s.order_id, s.store_id, %(account)s, %(platform)s, s.wallet, s.product, s.number,
       s.trade_no, s.amount_minor, s.currency, s.fee_minor, 0, 0, 'succeeded', 'platform', '', '', '{}', '', '', s.paid_at,
       s.paid_at, s.paid_at, s.paid_at, s.booked_date, 0
FROM outside_posting s
ON CONFLICT DO NOTHING
"""
_FORGET: Final = """
DELETE FROM outside_posting s WHERE NOT EXISTS (
    SELECT FROM payments_payment p WHERE p.merchant_id = %(merchant)s AND p.id = s.subject_id)
"""
_ORDERS: Final = """
INSERT INTO payments_order (id, merchant_id, store_id, token, amount_minor, currency, subject, note, state, source,
                            created_at, expires_at, paid_at)
SELECT s.order_id, %(merchant)s, s.store_id, left(replace(gen_random_uuid()::text, '-', ''), 24), s.amount_minor,
       s.currency, left(s.subject, 120), '', 'paid', 'platform', s.paid_at, s.paid_at, s.paid_at
FROM outside_posting s
"""
_TELL: Final = """
UPDATE {source} s SET payment_id = b.subject_id FROM outside_posting b WHERE b.line_id = s.line_id
"""


def book_outside_payments(*, source: str, account: PlatformAccount) -> int:
    """Book each row of the temporary table ``source`` in the caller's transaction; how many were booked.

    Its columns: ``line_id``, ``number`` (becomes our number), ``trade_no``, ``amount_minor``, ``fee_minor``, ``currency``,
    ``paid_at``, ``booked_date`` (an open day that is held), ``store_id``, ``product``, ``wallet``, ``subject``, and
    ``payment_id``, which is filled in. A row whose numbers are there already is left out and keeps no ``payment_id``.
    """
    values: dict[str, int | str] = {
        "merchant": current_merchant_id(),
        "account": account.pk,
        "platform": account.platform,
    }
    relation = names.Identifier(source)
    with connection.cursor() as cursor:
        cursor.execute(names.SQL(_NUMBERED).format(source=relation))
        staged = cursor.rowcount
        cursor.execute(_PAYMENTS, values)
        if cursor.rowcount < staged:
            cursor.execute(_FORGET, values)
        cursor.execute(_ORDERS, values)
        cursor.execute("ANALYZE outside_posting")
        booked = post_many(
            source=_STAGED,
            kind="payment",
            subject_kind="payment",
            at_column="paid_at",
            memo_column="number",
            sides=[
                Side(purpose=Purpose.RECEIVABLE, column="receivable", subject_id=account.pk),
                Side(purpose=Purpose.FEES, column="fee_minor"),
                Side(purpose=Purpose.SALES, column="sales"),
            ],
        )
        cursor.execute(names.SQL(_TELL).format(source=relation))
        cursor.execute("DROP TABLE outside_posting")
    return booked
