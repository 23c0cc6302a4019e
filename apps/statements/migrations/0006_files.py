"""Files in pieces, uploads and their quarantine, and what changed between the versions of a bill."""

from typing import ClassVar

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import apps.core.tenancy
from apps.core import walls


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("platforms", "0006_terminals_again"),
        ("statements", "0005_fund_lines"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations: ClassVar = [
        migrations.CreateModel(
            name="BillFile",
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
                ("created_at", models.DateTimeField()),
            ],
            options={
                "base_manager_name": "objects",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("merchant_id", "id"), name="statements_file_wall"
                    )
                ],
            },
        ),
        migrations.AddField(
            model_name="statement",
            name="file",
            field=apps.core.tenancy.ScopedForeignKey(
                db_constraint=False,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to="statements.billfile",
            ),
        ),
        migrations.CreateModel(
            name="FilePiece",
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
                ("sealed", models.BinaryField()),
                (
                    "file",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="pieces",
                        to="statements.billfile",
                    ),
                ),
            ],
            options={
                "base_manager_name": "objects",
                "constraints": [
                    models.UniqueConstraint(fields=("file", "number"), name="statements_piece_once")
                ],
            },
        ),
        migrations.CreateModel(
            name="StatementChange",
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
                            ("added", "New row"),
                            ("removed", "Row gone"),
                            ("changed", "Changed row"),
                        ],
                        max_length=8,
                    ),
                ),
                (
                    "before",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="statements.statementline",
                    ),
                ),
                (
                    "line",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="statements.statementline",
                    ),
                ),
                (
                    "statement",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="changes",
                        to="statements.statement",
                    ),
                ),
            ],
            options={
                "base_manager_name": "objects",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("before__isnull", True), ("kind", "added"), ("line__isnull", False)
                            ),
                            models.Q(
                                ("before__isnull", False),
                                ("kind", "removed"),
                                ("line__isnull", True),
                            ),
                            models.Q(
                                ("before__isnull", False),
                                ("kind", "changed"),
                                ("line__isnull", False),
                            ),
                            _connector="OR",
                        ),
                        name="statements_change_sides",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Upload",
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
                ("kind", models.CharField(max_length=8)),
                ("day", models.DateField()),
                ("filename", models.CharField(max_length=160)),
                ("sha256", models.CharField(max_length=64)),
                ("byte_count", models.BigIntegerField()),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "Waiting its turn"),
                            ("running", "Being imported"),
                            ("imported", "Imported"),
                            ("same", "Is here already"),
                            ("refused", "Refused"),
                            ("cancelled", "Cancelled"),
                        ],
                        default="waiting",
                        max_length=12,
                    ),
                ),
                ("detail", models.CharField(default="", max_length=300)),
                ("done_bytes", models.BigIntegerField(default=0)),
                ("done_rows", models.IntegerField(default=0)),
                ("created_at", models.DateTimeField()),
                ("started_at", models.DateTimeField(null=True)),
                ("finished_at", models.DateTimeField(null=True)),
                ("expires_at", models.DateTimeField(null=True)),
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
                    "file",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="statements.billfile",
                    ),
                ),
                (
                    "statement",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="statements.statement",
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
                "indexes": [
                    models.Index(fields=["merchant_id", "state"], name="statements_upload_state")
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("merchant_id", "id"), name="statements_upload_wall"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("state", "refused"), _negated=True),
                            models.Q(("expires_at__isnull", False), ("file__isnull", False)),
                            _connector="OR",
                        ),
                        name="statements_upload_refused_kept",
                    ),
                ],
            },
        ),
        # What was kept in one column becomes a file of one piece: it is sealed in the same way.
        migrations.RunSQL(
            [
                "ALTER TABLE statements_statement NO FORCE ROW LEVEL SECURITY",
                "INSERT INTO statements_billfile (id, merchant_id, filename, sha256, byte_count, created_at)"
                " SELECT id, merchant_id, filename, sha256, byte_count, imported_at FROM statements_statement"
                " WHERE content_sealed IS NOT NULL",
                "INSERT INTO statements_filepiece (merchant_id, file_id, number, sealed)"
                " SELECT merchant_id, id, 0, content_sealed FROM statements_statement WHERE content_sealed IS NOT NULL",
                "UPDATE statements_statement SET file_id = id WHERE content_sealed IS NOT NULL",
                "SELECT setval(pg_get_serial_sequence('statements_billfile', 'id'),"
                " GREATEST((SELECT max(id) FROM statements_billfile), 1))",
                "SET CONSTRAINTS ALL IMMEDIATE",
                "ALTER TABLE statements_statement FORCE ROW LEVEL SECURITY",
            ],
            migrations.RunSQL.noop,
        ),
        migrations.RemoveField(
            model_name="statement",
            name="content_sealed",
        ),
        walls.protect("statements_billfile", foreign_key=False),
        walls.protect("statements_filepiece", foreign_key=False),
        walls.composite_key("statements_filepiece", "file_id", "statements_billfile"),
        walls.composite_key("statements_statement", "file_id", "statements_billfile"),
        walls.protect("statements_statementchange", foreign_key=False),
        walls.composite_key("statements_statementchange", "statement_id", "statements_statement"),
        walls.composite_key("statements_statementchange", "line_id", "statements_statementline"),
        walls.composite_key("statements_statementchange", "before_id", "statements_statementline"),
        walls.protect("statements_upload", foreign_key=False),
        walls.composite_key("statements_upload", "account_id", "platforms_platformaccount"),
        walls.composite_key("statements_upload", "file_id", "statements_billfile"),
        walls.composite_key("statements_upload", "statement_id", "statements_statement"),
    ]
