"""A refund belongs to the store of its payment, which may have none."""

from typing import ClassVar

import django.db.models.deletion
from django.db import migrations, models

import apps.core.tenancy


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("merchants", "0003_terminals"),
        ("refunds", "0003_terminals"),
    ]

    operations: ClassVar = [
        migrations.AlterField(
            model_name="refund",
            name="source",
            field=models.CharField(
                choices=[("portal", "Here"), ("platform", "Outside the portal")],
                default="portal",
                max_length=8,
            ),
        ),
        migrations.AlterField(
            model_name="refund",
            name="store",
            field=apps.core.tenancy.ScopedForeignKey(
                db_constraint=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="merchants.store",
            ),
        ),
    ]
