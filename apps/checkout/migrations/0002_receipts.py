"""The lasting link of a paid order."""

from typing import ClassVar

import django.db.models.deletion
from django.db import migrations, models

import apps.core.tenancy
from apps.core import walls


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("checkout", "0001_settings"),
        ("payments", "0006_terms"),
    ]

    operations: ClassVar = [
        migrations.CreateModel(
            name="Receipt",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "merchant_id",
                    models.BigIntegerField(
                        default=apps.core.tenancy.current_merchant_id, editable=False
                    ),
                ),
                ("token", models.CharField(max_length=24)),
                ("made_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField()),
                (
                    "order",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="payments.order",
                    ),
                ),
            ],
            options={
                "base_manager_name": "objects",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("merchant_id", "id"), name="checkout_receipt_wall"
                    ),
                    models.UniqueConstraint(
                        fields=("merchant_id", "order"), name="checkout_receipt_one"
                    ),
                ],
            },
        ),
        walls.protect("checkout_receipt"),
        walls.composite_key("checkout_receipt", "order_id", "payments_order"),
    ]
