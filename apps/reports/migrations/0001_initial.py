"""The view that lists payments and refunds as one."""

from typing import ClassVar

from django.db import migrations

# security_invoker: row-level security applies to whoever reads the view, not to its owner.
VIEW = """
CREATE VIEW reports_transaction WITH (security_invoker = true) AS
SELECT
    p.id * 2 AS key, p.merchant_id, 'payment'::varchar(8) AS kind, p.id AS row_id, p.order_id,
    p.id AS payment_id, p.store_id, p.code_id, p.account_id, p.platform, p.product,
    p.order_no AS number, p.order_no_reversed AS number_reversed, p.order_no,
    p.platform_trade_no AS platform_number, p.platform_trade_no_reversed AS platform_number_reversed,
    p.amount_minor AS signed_minor,
    CASE WHEN p.state = 'succeeded' THEN p.amount_minor ELSE 0 END AS effective_minor,
    CASE WHEN p.state = 'succeeded' THEN p.fee_minor ELSE 0 END AS fee_minor,
    p.refunded_minor, p.currency, p.state, p.source, o.subject,
    p.created_at, p.paid_at AS done_at, p.booked_date
FROM payments_payment p JOIN payments_order o ON o.id = p.order_id AND o.merchant_id = p.merchant_id
UNION ALL
SELECT
    r.id * 2 + 1, r.merchant_id, 'refund'::varchar(8), r.id, p.order_id,
    p.id, r.store_id, p.code_id, r.account_id, p.platform, p.product,
    r.refund_no, r.refund_no_reversed, p.order_no,
    r.platform_refund_no, reverse(r.platform_refund_no),
    -r.amount_minor,
    CASE WHEN r.state = 'succeeded' THEN -r.amount_minor ELSE 0 END,
    CASE WHEN r.state = 'succeeded' THEN -r.fee_minor ELSE 0 END,
    0::bigint, r.currency, r.state, r.source, r.reason,
    r.created_at, r.refunded_at, r.booked_date
FROM refunds_refund r JOIN payments_payment p ON p.id = r.payment_id AND p.merchant_id = r.merchant_id
"""


class Migration(migrations.Migration):
    initial = True
    dependencies: ClassVar = [("payments", "0002_walls"), ("refunds", "0002_walls")]
    operations: ClassVar = [
        migrations.RunSQL(VIEW, "DROP VIEW reports_transaction"),
    ]
