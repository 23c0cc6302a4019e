"""The view that lists payments and refunds as one, with one table a branch.

PostgreSQL merges the branches of a UNION ALL in the order of their indexes only where each branch reads a single table
and their columns are of equal types; else it would read and sort everything for one page of fifty rows. What comes from
another table is looked up for the rows that are shown.
"""

from typing import ClassVar

from django.db import migrations, models

import apps.core.tenancy

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
    r.platform_refund_no, r.platform_refund_no_reversed,
    -r.amount_minor,
    CASE WHEN r.state = 'succeeded' THEN -r.amount_minor ELSE 0 END,
    CASE WHEN r.state = 'succeeded' THEN -r.fee_minor ELSE 0 END,
    0::bigint, r.currency, r.state, r.source, r.reason,
    r.created_at, r.refunded_at, r.booked_date
FROM refunds_refund r
"""  # noqa: S608  # only the column names above are filled in


class Migration(migrations.Migration):
    initial = True
    dependencies: ClassVar = [("payments", "0002_walls"), ("refunds", "0002_walls")]
    operations: ClassVar = [
        migrations.RunSQL(VIEW, "DROP VIEW reports_transaction"),
        migrations.CreateModel(
            name="Transaction",
            fields=[
                (
                    "merchant_id",
                    models.BigIntegerField(
                        default=apps.core.tenancy.current_merchant_id, editable=False
                    ),
                ),
                ("key", models.BigIntegerField(primary_key=True, serialize=False)),
                (
                    "kind",
                    models.CharField(
                        choices=[("payment", "Payment"), ("refund", "Refund")], max_length=8
                    ),
                ),
                ("row_id", models.BigIntegerField()),
                ("order_id", models.BigIntegerField()),
                ("payment_id", models.BigIntegerField()),
                ("store_id", models.BigIntegerField()),
                ("code_id", models.BigIntegerField(null=True)),
                ("account_id", models.BigIntegerField()),
                ("platform", models.CharField(max_length=12)),
                ("product", models.CharField(max_length=12)),
                ("number", models.CharField(max_length=32)),
                ("number_reversed", models.CharField(max_length=32)),
                ("order_no", models.CharField(max_length=32)),
                ("platform_number", models.CharField(max_length=64)),
                ("platform_number_reversed", models.CharField(max_length=64)),
                ("signed_minor", models.BigIntegerField()),
                ("effective_minor", models.BigIntegerField()),
                ("fee_minor", models.BigIntegerField()),
                ("refunded_minor", models.BigIntegerField()),
                ("currency", models.CharField(max_length=3)),
                ("state", models.CharField(max_length=12)),
                ("source", models.CharField(max_length=8)),
                ("subject", models.CharField(max_length=120)),
                ("created_at", models.DateTimeField()),
                ("done_at", models.DateTimeField(null=True)),
                ("booked_date", models.DateField(null=True)),
            ],
            options={
                "db_table": "reports_transaction",
                "managed": False,
                "base_manager_name": "objects",
            },
        ),
    ]
