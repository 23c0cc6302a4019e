"""Shares, inferred pairs, waiting for the next bill, the explanation equation, what an account allows."""

from typing import ClassVar

import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

import apps.core.tenancy
from apps.core import walls


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("payments", "0004_ending"),
        ("platforms", "0006_terminals_again"),
        ("reconciliation", "0002_walls"),
        ("refunds", "0003_terminals"),
        ("statements", "0004_sweeps"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations: ClassVar = [
        migrations.CreateModel(
            name="AccountRule",
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
                ("fallback_minutes", models.IntegerField(default=0)),
                (
                    "fee_rounding",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("half_up", "Half a fen and more upwards"),
                            ("half_even", "Half a fen to the even fen"),
                            ("down", "Always downwards"),
                            ("up", "Always upwards"),
                        ],
                        default="",
                        max_length=10,
                    ),
                ),
                ("fee_tolerance_minor", models.BigIntegerField(default=0)),
                (
                    "updated_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
            ],
            options={
                "base_manager_name": "objects",
            },
        ),
        migrations.RemoveConstraint(
            model_name="match",
            name="reconciliation_match_line",
        ),
        migrations.AddField(
            model_name="difference",
            name="assigned_to",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="difference",
            name="due_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="difference",
            name="first_seen_at",
            field=models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
        ),
        migrations.AddField(
            model_name="difference",
            name="identity",
            field=models.UUIDField(null=True),
        ),
        migrations.AddField(
            model_name="difference",
            name="net_gap_minor",
            field=models.BigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="difference",
            name="our_fee_minor",
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="difference",
            name="their_fee_minor",
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="match",
            name="amount_minor",
            field=models.BigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="match",
            name="fee_minor",
            field=models.BigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name="match",
            name="is_inferred",
            field=models.BooleanField(default=False),
        ),
        migrations.AddField(
            model_name="reconciliationrun",
            name="fees_minor",
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="reconciliationrun",
            name="refunds_minor",
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="reconciliationrun",
            name="sales_minor",
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="reconciliationrun",
            name="their_fee_minor",
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="reconciliationrun",
            name="untold_fee_minor",
            field=models.BigIntegerField(null=True),
        ),
        migrations.AlterField(
            model_name="difference",
            name="type",
            field=models.CharField(
                choices=[
                    ("missing_here", "Not in our books"),
                    ("missing_there", "Not in the bill"),
                    ("late", "Late"),
                    ("amount", "Amount differs"),
                    ("status", "State differs"),
                    ("fee", "Fee differs"),
                    ("duplicate", "Twice in the bill"),
                    ("unknown_refund", "Refund not in our books"),
                    ("currency", "Currency differs"),
                    ("wrong_account", "At another account"),
                    ("expected", "Expected in the next bill"),
                    ("carry_in", "From another day"),
                    ("carry_out", "In another day's bill"),
                ],
                max_length=16,
            ),
        ),
        migrations.AddConstraint(
            model_name="match",
            constraint=models.UniqueConstraint(
                fields=("run", "line", "payment", "refund"),
                name="reconciliation_match_pair",
                nulls_distinct=False,
            ),
        ),
        migrations.AddField(
            model_name="accountrule",
            name="account",
            field=apps.core.tenancy.ScopedForeignKey(
                db_constraint=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to="platforms.platformaccount",
            ),
        ),
        migrations.AddConstraint(
            model_name="accountrule",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "account"), name="reconciliation_rule_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="accountrule",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("fallback_minutes__gte", 0),
                    ("fallback_minutes__lte", 1440),
                    ("fee_tolerance_minor__gte", 0),
                ),
                name="reconciliation_rule_sane",
            ),
        ),
        walls.protect("reconciliation_accountrule", foreign_key=False),
        walls.composite_key(
            "reconciliation_accountrule", "account_id", "platforms_platformaccount"
        ),
        # Not by UPDATE: under the wall a migration sees no rows. A change of type rewrites them all.
        migrations.RunSQL(
            "ALTER TABLE reconciliation_difference"
            " ALTER COLUMN type TYPE varchar(16) USING"
            " CASE WHEN type = 'late' AND line_id IS NULL THEN 'carry_out'"
            " WHEN type = 'late' THEN 'carry_in' ELSE type END,"
            " ALTER COLUMN first_seen_at TYPE timestamptz USING created_at,"
            " ALTER COLUMN net_gap_minor TYPE bigint USING"
            " CASE WHEN type = 'fee' THEN our_minor - their_minor ELSE gap_minor END,"
            " ALTER COLUMN their_fee_minor TYPE bigint USING CASE WHEN type = 'fee' THEN their_minor END,"
            " ALTER COLUMN our_fee_minor TYPE bigint USING CASE WHEN type = 'fee' THEN our_minor END",
            migrations.RunSQL.noop,
        ),
    ]
