from typing import ClassVar

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

import apps.core.tenancy
from apps.core import walls


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("merchants", "0002_walls"),
    ]

    operations: ClassVar = [
        migrations.CreateModel(
            name="Terminal",
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
                ("name", models.CharField(max_length=60)),
                ("brand", models.CharField(blank=True, default="", max_length=40)),
                ("model_name", models.CharField(blank=True, default="", max_length=40)),
                ("serial_no", models.CharField(blank=True, default="", max_length=64)),
                ("note", models.CharField(blank=True, default="", max_length=160)),
                ("is_active", models.BooleanField(default=True)),
                ("last_seen_at", models.DateTimeField(null=True)),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                (
                    "store",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="merchants.store",
                    ),
                ),
            ],
            options={
                "base_manager_name": "objects",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("merchant_id", "id"), name="merchants_terminal_wall"
                    ),
                    models.UniqueConstraint(
                        fields=("merchant_id", "store", "name"), name="merchants_terminal_name"
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("serial_no", ""), _negated=True),
                        fields=("merchant_id", "brand", "serial_no"),
                        name="merchants_terminal_serial",
                    ),
                ],
            },
        ),
        walls.protect("merchants_terminal"),
        walls.composite_key("merchants_terminal", "store_id", "merchants_store"),
    ]
