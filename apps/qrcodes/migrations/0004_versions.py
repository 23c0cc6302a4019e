"""What a code does, version by version; own scenarios, folders, labels. Codes that are there get version 1."""

from typing import ClassVar

import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

import apps.core.tenancy
from apps.core import walls

#: A version stays as it was made; one that has not started may be withdrawn, once.
ONLY_WITHDRAWN = """
CREATE FUNCTION qrcodes_version_only_withdrawn() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF OLD.withdrawn_at IS NULL AND to_jsonb(OLD) - 'withdrawn_at' = to_jsonb(NEW) - 'withdrawn_at' THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'version % of a code stays as it was made: % refused', OLD.id, TG_OP
        USING ERRCODE = 'restrict_violation';
END $$
"""
#: The walls are down for one statement: a migration has no merchant.
FIRST_VERSIONS = """
ALTER TABLE qrcodes_qrcode NO FORCE ROW LEVEL SECURITY;
ALTER TABLE qrcodes_scenario NO FORCE ROW LEVEL SECURITY;
ALTER TABLE qrcodes_codeversion NO FORCE ROW LEVEL SECURITY;
INSERT INTO qrcodes_codeversion (merchant_id, code_id, number, starts_at, made_at, reason, store_id, terminal_id, name, name_en,
    details, pricing, amount_minor, choices, currency, note_mode, note_label, hours, language, wallets, valid_from, valid_until)
SELECT c.merchant_id, c.id, 1, c.created_at, c.created_at, '', c.store_id, c.terminal_id, s.name, s.name_en, '{}',
    CASE WHEN c.amount_minor IS NULL THEN 'open' ELSE 'fixed' END, c.amount_minor, '[]', c.currency, 'optional', '', '[]', '', '{}',
    c.valid_from, c.valid_until
FROM qrcodes_qrcode c JOIN qrcodes_scenario s ON s.merchant_id = c.merchant_id AND s.id = c.scenario_id;
-- Rows whose keys are still to be checked keep a table from being altered.
SET CONSTRAINTS ALL IMMEDIATE;
ALTER TABLE qrcodes_codeversion FORCE ROW LEVEL SECURITY;
ALTER TABLE qrcodes_scenario FORCE ROW LEVEL SECURITY;
ALTER TABLE qrcodes_qrcode FORCE ROW LEVEL SECURITY;
"""


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("merchants", "0003_terminals"),
        ("qrcodes", "0003_terminals"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations: ClassVar = [
        migrations.CreateModel(
            name="CodeVersion",
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
                ("number", models.PositiveIntegerField()),
                ("starts_at", models.DateTimeField()),
                ("made_at", models.DateTimeField()),
                ("reason", models.CharField(blank=True, default="", max_length=200)),
                ("withdrawn_at", models.DateTimeField(null=True)),
                ("name", models.CharField(max_length=60)),
                ("name_en", models.CharField(blank=True, default="", max_length=80)),
                ("details", models.JSONField(default=dict)),
                (
                    "pricing",
                    models.CharField(
                        choices=[
                            ("open", "The customer types the amount"),
                            ("fixed", "Always the same amount"),
                            ("list", "The customer chooses from a list"),
                        ],
                        default="open",
                        max_length=8,
                    ),
                ),
                ("amount_minor", models.BigIntegerField(null=True)),
                ("choices", models.JSONField(default=list)),
                ("currency", models.CharField(default="CNY", max_length=3)),
                (
                    "note_mode",
                    models.CharField(
                        choices=[
                            ("none", "No note"),
                            ("optional", "The customer may write a note"),
                            ("required", "The customer must write a note"),
                        ],
                        default="optional",
                        max_length=8,
                    ),
                ),
                ("note_label", models.CharField(blank=True, default="", max_length=60)),
                ("hours", models.JSONField(default=list)),
                ("least_minor", models.BigIntegerField(null=True)),
                ("most_minor", models.BigIntegerField(null=True)),
                ("day_limit_minor", models.BigIntegerField(null=True)),
                ("day_limit_count", models.PositiveIntegerField(null=True)),
                ("total_limit_minor", models.BigIntegerField(null=True)),
                ("total_limit_count", models.PositiveIntegerField(null=True)),
                ("language", models.CharField(blank=True, default="", max_length=10)),
                (
                    "wallets",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=12), default=list, size=None
                    ),
                ),
                ("valid_from", models.DateTimeField(null=True)),
                ("valid_until", models.DateTimeField(null=True)),
            ],
            options={
                "base_manager_name": "objects",
            },
        ),
        migrations.CreateModel(
            name="ScenarioTemplate",
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
                    "kind",
                    models.CharField(
                        choices=[
                            ("counter", "Store counter"),
                            ("table", "Table"),
                            ("event", "Event stall"),
                            ("cashier", "Cashier"),
                            ("product", "Product or fixed price"),
                            ("donation", "Donation or tip"),
                            ("rider", "Delivery rider"),
                            ("custom", "Own scenario"),
                        ],
                        default="custom",
                        max_length=12,
                    ),
                ),
                ("name", models.CharField(max_length=60)),
                ("name_en", models.CharField(blank=True, default="", max_length=80)),
                ("defaults", models.JSONField(default=dict)),
                ("fields", models.JSONField(default=list)),
                ("is_active", models.BooleanField(default=True)),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
            ],
            options={
                "base_manager_name": "objects",
            },
        ),
        migrations.AddField(
            model_name="qrcode",
            name="labels",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=30), default=list, size=None
            ),
        ),
        migrations.AddField(
            model_name="qrcode",
            name="state_reason",
            field=models.CharField(blank=True, default="", max_length=200),
        ),
        migrations.AlterField(
            model_name="scenario",
            name="kind",
            field=models.CharField(
                choices=[
                    ("counter", "Store counter"),
                    ("table", "Table"),
                    ("event", "Event stall"),
                    ("cashier", "Cashier"),
                    ("product", "Product or fixed price"),
                    ("donation", "Donation or tip"),
                    ("rider", "Delivery rider"),
                    ("custom", "Own scenario"),
                ],
                max_length=12,
            ),
        ),
        migrations.CreateModel(
            name="CodeFolder",
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
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
            ],
            options={
                "base_manager_name": "objects",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("merchant_id", "id"), name="qrcodes_folder_wall"
                    ),
                    models.UniqueConstraint(
                        fields=("merchant_id", "name"), name="qrcodes_folder_name"
                    ),
                ],
            },
        ),
        migrations.AddField(
            model_name="qrcode",
            name="folder",
            field=apps.core.tenancy.ScopedForeignKey(
                db_constraint=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="codes",
                to="qrcodes.codefolder",
            ),
        ),
        migrations.AddIndex(
            model_name="qrcode",
            index=models.Index(fields=["merchant_id", "folder", "-id"], name="qrcodes_code_folder"),
        ),
        migrations.AddIndex(
            model_name="qrcode",
            index=django.contrib.postgres.indexes.GinIndex(
                fields=["labels"], name="qrcodes_code_labels"
            ),
        ),
        migrations.AddField(
            model_name="codeversion",
            name="code",
            field=apps.core.tenancy.ScopedForeignKey(
                db_constraint=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="versions",
                to="qrcodes.qrcode",
            ),
        ),
        migrations.AddField(
            model_name="codeversion",
            name="made_by",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="codeversion",
            name="store",
            field=apps.core.tenancy.ScopedForeignKey(
                db_constraint=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="merchants.store",
            ),
        ),
        migrations.AddField(
            model_name="codeversion",
            name="terminal",
            field=apps.core.tenancy.ScopedForeignKey(
                db_constraint=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="merchants.terminal",
            ),
        ),
        migrations.AddConstraint(
            model_name="scenariotemplate",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "id"), name="qrcodes_template_wall"
            ),
        ),
        migrations.AddConstraint(
            model_name="scenariotemplate",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "name"), name="qrcodes_template_name"
            ),
        ),
        migrations.AddField(
            model_name="scenario",
            name="template",
            field=apps.core.tenancy.ScopedForeignKey(
                db_constraint=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="qrcodes.scenariotemplate",
            ),
        ),
        migrations.AddIndex(
            model_name="codeversion",
            index=models.Index(
                fields=["merchant_id", "code", "-starts_at", "-number"],
                name="qrcodes_version_start",
            ),
        ),
        migrations.AddConstraint(
            model_name="codeversion",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "id"), name="qrcodes_version_wall"
            ),
        ),
        migrations.AddConstraint(
            model_name="codeversion",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "code", "number"), name="qrcodes_version_number"
            ),
        ),
        migrations.AddConstraint(
            model_name="codeversion",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("amount_minor__gt", 0), ("pricing", "fixed")),
                    models.Q(
                        models.Q(("pricing", "fixed"), _negated=True),
                        ("amount_minor__isnull", True),
                    ),
                    _connector="OR",
                ),
                name="qrcodes_version_amount",
            ),
        ),
        migrations.AddConstraint(
            model_name="codeversion",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("valid_from__isnull", True),
                    ("valid_until__isnull", True),
                    ("valid_until__gt", models.F("valid_from")),
                    _connector="OR",
                ),
                name="qrcodes_version_period",
            ),
        ),
        walls.protect("qrcodes_scenariotemplate", foreign_key=False),
        walls.protect("qrcodes_codefolder", foreign_key=False),
        walls.composite_key("qrcodes_scenario", "template_id", "qrcodes_scenariotemplate"),
        walls.composite_key("qrcodes_qrcode", "folder_id", "qrcodes_codefolder"),
        migrations.RunSQL(
            "ALTER TABLE qrcodes_qrcode ALTER COLUMN labels SET DEFAULT '{}'",
            migrations.RunSQL.noop,
        ),
        walls.protect("qrcodes_codeversion", foreign_key=False),
        walls.composite_key("qrcodes_codeversion", "code_id", "qrcodes_qrcode"),
        walls.composite_key("qrcodes_codeversion", "store_id", "merchants_store"),
        walls.composite_key("qrcodes_codeversion", "terminal_id", "merchants_terminal"),
        migrations.RunSQL(FIRST_VERSIONS, migrations.RunSQL.noop),
        migrations.RunSQL(
            [
                ONLY_WITHDRAWN,
                "CREATE TRIGGER only_withdrawn BEFORE UPDATE OR DELETE ON qrcodes_codeversion"
                " FOR EACH ROW EXECUTE FUNCTION qrcodes_version_only_withdrawn()",
            ],
            [
                "DROP TRIGGER only_withdrawn ON qrcodes_codeversion",
                "DROP FUNCTION qrcodes_version_only_withdrawn()",
            ],
        ),
    ]
