"""Closings of business days: what each held, its files, and the wishes to open one again."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

import apps.core.tenancy
from apps.core import walls

# What was decided stays decided.
FINAL = """
CREATE FUNCTION reconciliation_reopening_is_final() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR OLD.state <> 'waiting' THEN
        RAISE EXCEPTION 'reopening % is final: % refused', OLD.id, TG_OP USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$
"""


class Migration(migrations.Migration):
    dependencies = [
        ("approvals", "0002_walls"),
        ("reconciliation", "0005_outside"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="DayClose",
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
                ("version", models.IntegerField()),
                ("closed_at", models.DateTimeField()),
                ("zone", models.CharField(max_length=40)),
                ("day_starts_at", models.TimeField()),
                ("payment_count", models.IntegerField()),
                ("payment_minor", models.BigIntegerField()),
                ("refund_count", models.IntegerField()),
                ("refund_minor", models.BigIntegerField()),
                ("fee_minor", models.BigIntegerField()),
                ("entry_count", models.IntegerField()),
                ("debit_minor", models.BigIntegerField()),
                ("matched_count", models.IntegerField()),
                ("difference_count", models.IntegerField()),
                ("run_ids", models.JSONField(default=list)),
                ("checklist", models.JSONField(default=list)),
                ("file_names", models.JSONField(default=list)),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                (
                    "closed_by",
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
            name="DayFile",
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
                ("name", models.CharField(max_length=24)),
                ("filename", models.CharField(max_length=120)),
                ("content_type", models.CharField(max_length=60)),
                ("sha256", models.CharField(max_length=64)),
                ("byte_count", models.BigIntegerField()),
                ("row_count", models.IntegerField(null=True)),
                ("amount_minor", models.BigIntegerField(null=True)),
                ("made_at", models.DateTimeField()),
                (
                    "close",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="files",
                        to="reconciliation.dayclose",
                    ),
                ),
            ],
            options={
                "base_manager_name": "objects",
            },
        ),
        migrations.CreateModel(
            name="DayFilePart",
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
                ("number", models.IntegerField()),
                ("content_sealed", models.BinaryField()),
                (
                    "file",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="parts",
                        to="reconciliation.dayfile",
                    ),
                ),
            ],
            options={
                "base_manager_name": "objects",
            },
        ),
        migrations.CreateModel(
            name="DayReopening",
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
                ("reason", models.CharField(max_length=200)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "Waiting for confirmation"),
                            ("done", "Opened again"),
                            ("rejected", "Refused"),
                            ("cancelled", "Cancelled"),
                        ],
                        default="waiting",
                        max_length=12,
                    ),
                ),
                ("message", models.CharField(default="", max_length=200)),
                ("created_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "approval",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="approvals.approval",
                    ),
                ),
                (
                    "close",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="reopenings",
                        to="reconciliation.dayclose",
                    ),
                ),
                (
                    "requested_by",
                    models.ForeignKey(
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
        migrations.AddConstraint(
            model_name="dayclose",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "id"), name="reconciliation_close_wall"
            ),
        ),
        migrations.AddConstraint(
            model_name="dayclose",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "day", "version"), name="reconciliation_close_version"
            ),
        ),
        migrations.AddConstraint(
            model_name="dayclose",
            constraint=models.CheckConstraint(
                condition=models.Q(("version__gte", 1)), name="reconciliation_close_counted"
            ),
        ),
        migrations.AddConstraint(
            model_name="dayfile",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "id"), name="reconciliation_dayfile_wall"
            ),
        ),
        migrations.AddConstraint(
            model_name="dayfile",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "close", "name"), name="reconciliation_dayfile_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="dayfilepart",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "file", "number"), name="reconciliation_filepart_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="dayreopening",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "id"), name="reconciliation_reopen_wall"
            ),
        ),
        migrations.AddConstraint(
            model_name="dayreopening",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state__in", ["waiting", "done"])),
                fields=("merchant_id", "close"),
                name="reconciliation_reopen_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="dayreopening",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("state", "waiting"), ("ended_at__isnull", False), _connector="OR"
                ),
                name="reconciliation_reopen_ended",
            ),
        ),
        walls.protect("reconciliation_dayclose"),
        walls.protect("reconciliation_dayfile", foreign_key=False),
        walls.protect("reconciliation_dayfilepart", foreign_key=False),
        walls.protect("reconciliation_dayreopening"),
        walls.composite_key("reconciliation_dayfile", "close_id", "reconciliation_dayclose"),
        walls.composite_key("reconciliation_dayfilepart", "file_id", "reconciliation_dayfile"),
        walls.composite_key("reconciliation_dayreopening", "close_id", "reconciliation_dayclose"),
        walls.composite_key("reconciliation_dayreopening", "approval_id", "approvals_approval"),
        walls.append_only("reconciliation_dayclose"),
        walls.append_only("reconciliation_dayfile"),
        walls.append_only("reconciliation_dayfilepart"),
        migrations.RunSQL(
            [
                FINAL,
                "CREATE TRIGGER reconciliation_reopening_is_final BEFORE UPDATE OR DELETE ON reconciliation_dayreopening"
                " FOR EACH ROW EXECUTE FUNCTION reconciliation_reopening_is_final()",
            ],
            [
                "DROP TRIGGER reconciliation_reopening_is_final ON reconciliation_dayreopening",
                "DROP FUNCTION reconciliation_reopening_is_final",
            ],
        ),
    ]
