from typing import ClassVar

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import apps.core.tenancy
from apps.core import walls


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("merchants", "0003_terminals"),
        ("payments", "0002_walls"),
        ("qrcodes", "0003_terminals"),
        ("platforms", "0003_terminals"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations: ClassVar = [
        migrations.AddField(
            model_name="order",
            name="taken_by",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="order",
            name="terminal",
            field=apps.core.tenancy.ScopedForeignKey(
                db_constraint=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="merchants.terminal",
            ),
        ),
        migrations.AddField(
            model_name="payment",
            name="payable_until",
            field=models.DateTimeField(null=True),
        ),
        # Not by UPDATE: under the wall a migration sees no rows. A change of type rewrites them all.
        migrations.RunSQL(
            "ALTER TABLE payments_payment ALTER COLUMN payable_until TYPE timestamptz USING expires_at",
            migrations.RunSQL.noop,
        ),
        migrations.AlterField(
            model_name="payment",
            name="payable_until",
            field=models.DateTimeField(),
        ),
        migrations.AddField(
            model_name="payment",
            name="terminal",
            field=apps.core.tenancy.ScopedForeignKey(
                db_constraint=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="merchants.terminal",
            ),
        ),
        migrations.AddField(
            model_name="payment",
            name="wallet",
            field=models.CharField(
                choices=[
                    ("wechatpay", "WeChat Pay"),
                    ("alipay", "Alipay"),
                    ("unionpay", "UnionPay QuickPass"),
                    ("shouqianba", "Shouqianba"),
                ],
                default="",
                max_length=12,
            ),
        ),
        walls.composite_key("payments_order", "terminal_id", "merchants_terminal"),
        walls.composite_key("payments_payment", "terminal_id", "merchants_terminal"),
    ]
