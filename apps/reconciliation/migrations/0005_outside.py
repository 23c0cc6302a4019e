"""Rules for money that began outside the portal, how much of a day it is, and old bills as history."""

from typing import ClassVar

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import apps.core.tenancy
from apps.core import walls


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("merchants", "0003_terminals"),
        ("platforms", "0006_terminals_again"),
        ("payments", "0005_outside"),
        ("reconciliation", "0004_morning"),
        ("refunds", "0004_outside"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations: ClassVar = [
        migrations.AddField(
            model_name="reconciliationrun",
            name="outside_count",
            field=models.IntegerField(default=0),
        ),
        migrations.CreateModel(
            name="HistoryImport",
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
                ("since", models.DateField()),
                ("until", models.DateField()),
                ("asked_at", models.DateTimeField()),
                (
                    "account",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="platforms.platformaccount",
                    ),
                ),
                (
                    "asked_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "base_manager_name": "objects",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("merchant_id", "account", "since", "until"),
                        name="reconciliation_history_once",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("until__gte", models.F("since"))),
                        name="reconciliation_history_order",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="OutsideRule",
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
                (
                    "scope",
                    models.CharField(
                        choices=[
                            ("account", "Everything of the account"),
                            ("product", "Product"),
                            ("store", "Store number"),
                            ("terminal", "Terminal number"),
                        ],
                        max_length=8,
                    ),
                ),
                ("value", models.CharField(default="", max_length=64)),
                ("books", models.BooleanField()),
                ("valid_from", models.DateField()),
                ("created_at", models.DateTimeField()),
                ("retired_at", models.DateTimeField(null=True)),
                (
                    "account",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="platforms.platformaccount",
                    ),
                ),
                (
                    "created_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "retired_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "store",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        null=True,
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
                        condition=models.Q(("retired_at__isnull", True)),
                        fields=("merchant_id", "account", "scope", "value", "valid_from"),
                        name="reconciliation_outside_once",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("scope", "account"), ("value", "")),
                            models.Q(
                                models.Q(("scope", "account"), _negated=True),
                                models.Q(("value", ""), _negated=True),
                            ),
                            _connector="OR",
                        ),
                        name="reconciliation_outside_value",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("books", True), ("store__isnull", True), _connector="OR"
                        ),
                        name="reconciliation_outside_store",
                    ),
                ],
            },
        ),
        walls.protect("reconciliation_outsiderule"),
        walls.composite_key(
            "reconciliation_outsiderule", "account_id", "platforms_platformaccount"
        ),
        walls.composite_key("reconciliation_outsiderule", "store_id", "merchants_store"),
        walls.protect("reconciliation_historyimport"),
        walls.composite_key(
            "reconciliation_historyimport", "account_id", "platforms_platformaccount"
        ),
    ]
