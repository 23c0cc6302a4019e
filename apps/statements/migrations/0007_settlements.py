"""Settlements, payouts, and the bank statements that they are matched with."""

from typing import ClassVar

import django.db.models.deletion
import django.db.models.expressions
from django.conf import settings
from django.db import migrations, models

import apps.core.tenancy
from apps.core import walls

#: What the bank wrote stays as it is; only which payout a line belongs to may change.
ONLY_LINKED = """
CREATE FUNCTION statements_bankline_only_linked() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF to_jsonb(OLD) - 'payout_id' = to_jsonb(NEW) - 'payout_id' THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'bank line % stays as the bank wrote it: % refused', OLD.id, TG_OP
        USING ERRCODE = 'restrict_violation';
END $$
"""


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("ledger", "0005_closed_days"),
        ("platforms", "0006_terminals_again"),
        ("statements", "0006_files"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations: ClassVar = [
        migrations.CreateModel(
            name="BankAccount",
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
                ("mapping", models.JSONField(default=dict)),
                ("mapped_at", models.DateTimeField(null=True)),
                ("created_at", models.DateTimeField()),
                (
                    "mapped_by",
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
            },
        ),
        migrations.CreateModel(
            name="BankFile",
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
                ("filename", models.CharField(max_length=160)),
                ("sha256", models.CharField(max_length=64)),
                ("byte_count", models.BigIntegerField()),
                ("first_day", models.DateField()),
                ("last_day", models.DateField()),
                ("row_count", models.IntegerField()),
                ("new_count", models.IntegerField()),
                ("uploaded_at", models.DateTimeField()),
                (
                    "bank_account",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="statements.bankaccount",
                    ),
                ),
                (
                    "uploaded_by",
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
            },
        ),
        migrations.CreateModel(
            name="Payout",
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
                ("is_inferred", models.BooleanField()),
                ("amount_minor", models.BigIntegerField()),
                ("settled_minor", models.BigIntegerField()),
                ("difference_minor", models.BigIntegerField(default=0)),
                ("difference_purpose", models.CharField(blank=True, default="", max_length=16)),
                ("line_ids", models.JSONField()),
                ("settlement_ids", models.JSONField()),
                ("at", models.DateTimeField()),
                ("booked_date", models.DateField()),
                ("note", models.CharField(default="", max_length=300)),
                ("linked_at", models.DateTimeField()),
                ("undone_at", models.DateTimeField(null=True)),
                ("undo_reason", models.CharField(default="", max_length=300)),
                (
                    "account",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="platforms.platformaccount",
                    ),
                ),
                (
                    "entry",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="ledger.journalentry",
                    ),
                ),
                (
                    "linked_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "undo_entry",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="ledger.journalentry",
                    ),
                ),
                (
                    "undone_by",
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
            },
        ),
        migrations.CreateModel(
            name="BankLine",
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
                ("row", models.IntegerField()),
                ("day", models.DateField()),
                ("amount_minor", models.BigIntegerField()),
                ("balance_minor", models.BigIntegerField(null=True)),
                ("counterparty", models.CharField(default="", max_length=160)),
                ("memo", models.CharField(default="", max_length=240)),
                ("reference", models.CharField(default="", max_length=80)),
                ("digest", models.CharField(max_length=64)),
                (
                    "bank_account",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="statements.bankaccount",
                    ),
                ),
                (
                    "file",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="statements.bankfile",
                    ),
                ),
                (
                    "payout",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="lines",
                        to="statements.payout",
                    ),
                ),
            ],
            options={
                "base_manager_name": "objects",
            },
        ),
        migrations.CreateModel(
            name="Settlement",
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
                    "basis",
                    models.CharField(
                        choices=[
                            ("bill", "Each day's net, paid out by the platform itself"),
                            ("withdrawal", "What is withdrawn from the balance, by the fund bill"),
                        ],
                        max_length=12,
                    ),
                ),
                ("day", models.DateField()),
                ("key", models.CharField(default="", max_length=64)),
                ("version", models.IntegerField(default=1)),
                ("payment_count", models.IntegerField(default=0)),
                ("payment_minor", models.BigIntegerField(default=0)),
                ("refund_count", models.IntegerField(default=0)),
                ("refund_minor", models.BigIntegerField(default=0)),
                ("fee_minor", models.BigIntegerField(default=0)),
                ("fees_estimated", models.BooleanField(default=False)),
                ("net_minor", models.BigIntegerField()),
                ("due_date", models.DateField()),
                ("computed_at", models.DateTimeField()),
                ("is_void", models.BooleanField(default=False)),
                ("settled_minor", models.BigIntegerField(null=True)),
                ("held_note", models.CharField(default="", max_length=200)),
                ("held_at", models.DateTimeField(null=True)),
                (
                    "account",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="platforms.platformaccount",
                    ),
                ),
                (
                    "held_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "payout",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="settlements",
                        to="statements.payout",
                    ),
                ),
                (
                    "statement",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="statements.statement",
                    ),
                ),
            ],
            options={
                "base_manager_name": "objects",
            },
        ),
        migrations.CreateModel(
            name="SettlementTerms",
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
                    "basis",
                    models.CharField(
                        choices=[
                            ("bill", "Each day's net, paid out by the platform itself"),
                            ("withdrawal", "What is withdrawn from the balance, by the fund bill"),
                        ],
                        max_length=12,
                    ),
                ),
                ("cycle_days", models.IntegerField()),
                ("working_days", models.BooleanField()),
                ("cutoff", models.TimeField(null=True)),
                ("minimum_minor", models.BigIntegerField(default=0)),
                ("fees_deducted", models.BooleanField(default=True)),
                ("bank_words", models.CharField(default="", max_length=300)),
                ("window_days", models.IntegerField(default=5)),
                ("since", models.DateField(null=True)),
                ("updated_at", models.DateTimeField()),
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
                    "updated_by",
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
            },
        ),
        migrations.CreateModel(
            name="SettlementVersion",
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
                ("version", models.IntegerField()),
                ("payment_minor", models.BigIntegerField()),
                ("refund_minor", models.BigIntegerField()),
                ("fee_minor", models.BigIntegerField()),
                ("net_minor", models.BigIntegerField()),
                ("due_date", models.DateField()),
                ("computed_at", models.DateTimeField()),
                (
                    "settlement",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="versions",
                        to="statements.settlement",
                    ),
                ),
                (
                    "statement",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="statements.statement",
                    ),
                ),
            ],
            options={
                "base_manager_name": "objects",
            },
        ),
        migrations.CreateModel(
            name="WorkdayException",
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
                ("day", models.DateField()),
                ("is_working", models.BooleanField()),
                ("name", models.CharField(default="", max_length=40)),
            ],
            options={
                "base_manager_name": "objects",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("merchant_id", "day"), name="statements_workday_once"
                    )
                ],
            },
        ),
        migrations.AddConstraint(
            model_name="bankaccount",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "id"), name="statements_bankacc_wall"
            ),
        ),
        migrations.AddConstraint(
            model_name="bankaccount",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "name"), name="statements_bankacc_name"
            ),
        ),
        migrations.AddConstraint(
            model_name="bankfile",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "id"), name="statements_bankfile_wall"
            ),
        ),
        migrations.AddConstraint(
            model_name="payout",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "id"), name="statements_payout_wall"
            ),
        ),
        migrations.AddConstraint(
            model_name="payout",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "settled_minor",
                        django.db.models.expressions.CombinedExpression(
                            models.F("amount_minor"), "+", models.F("difference_minor")
                        ),
                    )
                ),
                name="statements_payout_sums",
            ),
        ),
        migrations.AddConstraint(
            model_name="payout",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("difference_minor", 0), ("difference_purpose", "")),
                    models.Q(
                        models.Q(("difference_minor", 0), _negated=True),
                        ("difference_purpose__in", ["fees", "suspense"]),
                    ),
                    _connector="OR",
                ),
                name="statements_payout_difference",
            ),
        ),
        migrations.AddIndex(
            model_name="bankline",
            index=models.Index(
                fields=["merchant_id", "-day", "-id"], name="statements_bankline_day"
            ),
        ),
        migrations.AddIndex(
            model_name="bankline",
            index=models.Index(
                condition=models.Q(("amount_minor__gt", 0), ("payout__isnull", True)),
                fields=["merchant_id", "day"],
                name="statements_bankline_open",
            ),
        ),
        migrations.AddConstraint(
            model_name="bankline",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "id"), name="statements_bankline_wall"
            ),
        ),
        migrations.AddConstraint(
            model_name="bankline",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "bank_account", "digest"), name="statements_bankline_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="bankline",
            constraint=models.CheckConstraint(
                condition=models.Q(("amount_minor", 0), _negated=True),
                name="statements_bankline_moves",
            ),
        ),
        migrations.AddIndex(
            model_name="settlement",
            index=models.Index(fields=["merchant_id", "-day", "-id"], name="statements_settle_day"),
        ),
        migrations.AddIndex(
            model_name="settlement",
            index=models.Index(
                condition=models.Q(("is_void", False), ("payout__isnull", True)),
                fields=["merchant_id", "account", "day"],
                name="statements_settle_open",
            ),
        ),
        migrations.AddConstraint(
            model_name="settlement",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "id"), name="statements_settlement_wall"
            ),
        ),
        migrations.AddConstraint(
            model_name="settlement",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "account", "basis", "day", "key"),
                name="statements_settlement_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="settlement",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("payout__isnull", True), ("settled_minor__isnull", True)),
                    models.Q(
                        ("is_void", False),
                        ("payout__isnull", False),
                        ("settled_minor__isnull", False),
                    ),
                    _connector="OR",
                ),
                name="statements_settlement_paid",
            ),
        ),
        migrations.AddConstraint(
            model_name="settlementterms",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "account"), name="statements_terms_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="settlementterms",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("cycle_days__gte", 0),
                    ("cycle_days__lte", 60),
                    ("minimum_minor__gte", 0),
                    ("window_days__gte", 0),
                    ("window_days__lte", 31),
                ),
                name="statements_terms_sane",
            ),
        ),
        migrations.AddConstraint(
            model_name="settlementversion",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "settlement", "version"), name="statements_settlever_once"
            ),
        ),
        walls.protect("statements_settlementterms", foreign_key=False),
        walls.composite_key(
            "statements_settlementterms", "account_id", "platforms_platformaccount"
        ),
        walls.protect("statements_workdayexception"),
        walls.protect("statements_payout", foreign_key=False),
        walls.composite_key("statements_payout", "account_id", "platforms_platformaccount"),
        walls.composite_key("statements_payout", "entry_id", "ledger_journalentry"),
        walls.composite_key("statements_payout", "undo_entry_id", "ledger_journalentry"),
        walls.protect("statements_settlement", foreign_key=False),
        walls.composite_key("statements_settlement", "account_id", "platforms_platformaccount"),
        walls.composite_key("statements_settlement", "statement_id", "statements_statement"),
        walls.composite_key("statements_settlement", "payout_id", "statements_payout"),
        walls.protect("statements_settlementversion", foreign_key=False),
        walls.composite_key(
            "statements_settlementversion", "settlement_id", "statements_settlement"
        ),
        walls.composite_key("statements_settlementversion", "statement_id", "statements_statement"),
        walls.append_only("statements_settlementversion"),
        walls.protect("statements_bankaccount"),
        walls.protect("statements_bankfile", foreign_key=False),
        walls.composite_key("statements_bankfile", "bank_account_id", "statements_bankaccount"),
        walls.append_only("statements_bankfile"),
        walls.protect("statements_bankline", foreign_key=False),
        walls.composite_key("statements_bankline", "bank_account_id", "statements_bankaccount"),
        walls.composite_key("statements_bankline", "file_id", "statements_bankfile"),
        walls.composite_key("statements_bankline", "payout_id", "statements_payout"),
        migrations.RunSQL(
            [
                ONLY_LINKED,
                "CREATE TRIGGER statements_bankline_only_linked BEFORE UPDATE OR DELETE ON statements_bankline"
                " FOR EACH ROW EXECUTE FUNCTION statements_bankline_only_linked()",
            ],
            [
                "DROP TRIGGER statements_bankline_only_linked ON statements_bankline",
                "DROP FUNCTION statements_bankline_only_linked",
            ],
        ),
    ]
