"""What began outside the portal may belong to no store."""

from typing import ClassVar

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import apps.core.tenancy


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("merchants", "0003_terminals"),
        ("payments", "0004_ending"),
        ("platforms", "0006_terminals_again"),
        ("qrcodes", "0003_terminals"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations: ClassVar = [
        migrations.AlterField(
            model_name="order",
            name="source",
            field=models.CharField(
                choices=[("portal", "Here"), ("platform", "Outside the portal")],
                default="portal",
                max_length=8,
            ),
        ),
        migrations.AlterField(
            model_name="order",
            name="store",
            field=apps.core.tenancy.ScopedForeignKey(
                db_constraint=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="merchants.store",
            ),
        ),
        migrations.AlterField(
            model_name="payment",
            name="source",
            field=models.CharField(
                choices=[("portal", "Here"), ("platform", "Outside the portal")],
                default="portal",
                max_length=8,
            ),
        ),
        migrations.AlterField(
            model_name="payment",
            name="store",
            field=apps.core.tenancy.ScopedForeignKey(
                db_constraint=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="merchants.store",
            ),
        ),
        migrations.AddConstraint(
            model_name="order",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("store__isnull", False), ("source", "platform"), _connector="OR"
                ),
                name="payments_order_has_store",
            ),
        ),
        migrations.AddConstraint(
            model_name="payment",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("store__isnull", False), ("source", "platform"), _connector="OR"
                ),
                name="payments_payment_has_store",
            ),
        ),
    ]
