"""The same view with one table a branch.

PostgreSQL merges the branches of a UNION ALL in the order of their indexes only where each branch reads a single table
and their columns are of equal types; else it would read and sort everything for one page of fifty rows. What comes from
another table is looked up for the rows that are shown.
"""

from typing import ClassVar

from django.db import migrations

PAYMENT_OF_REFUND = (
    "(SELECT p.{column} FROM payments_payment p"
    " WHERE p.id = r.payment_id AND p.merchant_id = r.merchant_id)"
)

VIEW = f"""
CREATE VIEW reports_transaction WITH (security_invoker = true) AS
SELECT
    p.id * 2 AS key, p.merchant_id, 'payment'::varchar(8) AS kind, p.id AS row_id, p.order_id,
    p.id AS payment_id, p.store_id, p.code_id, p.account_id, p.platform, p.product,
    p.order_no AS number, p.order_no_reversed AS number_reversed, p.order_no,
    p.platform_trade_no AS platform_number, p.platform_trade_no_reversed AS platform_number_reversed,
    p.amount_minor AS signed_minor,
    CASE WHEN p.state = 'succeeded' THEN p.amount_minor ELSE 0 END AS effective_minor,
    CASE WHEN p.state = 'succeeded' THEN p.fee_minor ELSE 0 END AS fee_minor,
    p.refunded_minor, p.currency, p.state, p.source,
    (SELECT o.subject FROM payments_order o WHERE o.id = p.order_id AND o.merchant_id = p.merchant_id)
        AS subject,
    p.created_at, p.paid_at AS done_at, p.booked_date
FROM payments_payment p
UNION ALL
SELECT
    r.id * 2 + 1, r.merchant_id, 'refund'::varchar(8), r.id,
    {PAYMENT_OF_REFUND.format(column="order_id")},
    r.payment_id, r.store_id,
    {PAYMENT_OF_REFUND.format(column="code_id")},
    r.account_id,
    {PAYMENT_OF_REFUND.format(column="platform")},
    {PAYMENT_OF_REFUND.format(column="product")},
    r.refund_no, r.refund_no_reversed,
    {PAYMENT_OF_REFUND.format(column="order_no")},
    r.platform_refund_no, reverse(r.platform_refund_no)::varchar(64),
    -r.amount_minor,
    CASE WHEN r.state = 'succeeded' THEN -r.amount_minor ELSE 0 END,
    CASE WHEN r.state = 'succeeded' THEN -r.fee_minor ELSE 0 END,
    0::bigint, r.currency, r.state, r.source, r.reason,
    r.created_at, r.refunded_at, r.booked_date
FROM refunds_refund r
"""  # noqa: S608  # only the column names above are filled in


class Migration(migrations.Migration):
    dependencies: ClassVar = [("reports", "0002_transaction_state")]
    operations: ClassVar = [
        migrations.RunSQL(["DROP VIEW reports_transaction", VIEW], migrations.RunSQL.noop),
    ]
