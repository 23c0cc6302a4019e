"""Codes by the hundred: batches, acts on many with what they undo, print jobs with their files."""

from typing import ClassVar

import django.contrib.postgres.fields
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import apps.core.tenancy
from apps.core import walls


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("merchants", "0003_terminals"),
        ("qrcodes", "0005_designs"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations: ClassVar = [
        migrations.CreateModel(
            name="PrintFile",
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
                ("position", models.PositiveIntegerField()),
                ("name", models.CharField(max_length=200)),
                ("content", models.BinaryField()),
            ],
            options={
                "base_manager_name": "objects",
            },
        ),
        migrations.CreateModel(
            name="PrintJob",
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
                ("nonce", models.CharField(max_length=40)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("running", "Being drawn"),
                            ("ready", "Ready"),
                            ("refused", "Could not be drawn"),
                            ("cancelled", "Cancelled"),
                        ],
                        default="running",
                        max_length=9,
                    ),
                ),
                ("file", models.CharField(max_length=4)),
                ("form", models.CharField(max_length=12)),
                ("design_number", models.BigIntegerField(null=True)),
                ("design_changed_at", models.DateTimeField(null=True)),
                ("language", models.CharField(max_length=8)),
                (
                    "code_ids",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.BigIntegerField(), size=None
                    ),
                ),
                ("done", models.PositiveIntegerField(default=0)),
                ("problems", models.JSONField(default=list)),
                ("made_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True)),
                ("expires_at", models.DateTimeField()),
            ],
            options={
                "base_manager_name": "objects",
            },
        ),
        migrations.CreateModel(
            name="CodeAct",
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
                ("nonce", models.CharField(max_length=40)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("folder", "Move to a folder"),
                            ("label", "Add labels"),
                            ("unlabel", "Take labels off"),
                            ("store", "Move to another store"),
                            ("pause", "Pause"),
                            ("resume", "Resume"),
                            ("retire", "Retire for good"),
                        ],
                        max_length=8,
                    ),
                ),
                ("words", models.CharField(blank=True, default="", max_length=340)),
                ("before", models.JSONField(default=dict)),
                ("target", models.BigIntegerField(null=True)),
                ("left_out", models.JSONField(default=dict)),
                ("count", models.PositiveIntegerField()),
                ("made_at", models.DateTimeField()),
                ("undone_at", models.DateTimeField(null=True)),
                ("kept", models.PositiveIntegerField(default=0)),
                (
                    "made_by",
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
            name="CodeBatch",
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
                ("nonce", models.CharField(max_length=40)),
                ("count", models.PositiveIntegerField()),
                ("made_at", models.DateTimeField()),
                (
                    "made_by",
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
        migrations.AddField(
            model_name="qrcode",
            name="batch",
            field=apps.core.tenancy.ScopedForeignKey(
                db_constraint=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="codes",
                to="qrcodes.codebatch",
            ),
        ),
        migrations.AddIndex(
            model_name="qrcode",
            index=models.Index(fields=["merchant_id", "batch"], name="qrcodes_code_batch"),
        ),
        migrations.AddField(
            model_name="printjob",
            name="made_by",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="printfile",
            name="job",
            field=apps.core.tenancy.ScopedForeignKey(
                db_constraint=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="files",
                to="qrcodes.printjob",
            ),
        ),
        migrations.AddConstraint(
            model_name="codeact",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "id"), name="qrcodes_act_wall"
            ),
        ),
        migrations.AddConstraint(
            model_name="codeact",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "nonce"), name="qrcodes_act_nonce"
            ),
        ),
        migrations.AddConstraint(
            model_name="codebatch",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "id"), name="qrcodes_batch_wall"
            ),
        ),
        migrations.AddConstraint(
            model_name="codebatch",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "nonce"), name="qrcodes_batch_nonce"
            ),
        ),
        migrations.AddConstraint(
            model_name="printjob",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "id"), name="qrcodes_print_wall"
            ),
        ),
        migrations.AddConstraint(
            model_name="printjob",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "nonce"), name="qrcodes_print_nonce"
            ),
        ),
        migrations.AddConstraint(
            model_name="printfile",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "id"), name="qrcodes_printfile_wall"
            ),
        ),
        migrations.AddConstraint(
            model_name="printfile",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "job", "position"), name="qrcodes_printfile_place"
            ),
        ),
        walls.protect("qrcodes_codebatch"),
        walls.protect("qrcodes_codeact"),
        walls.protect("qrcodes_printjob"),
        walls.protect("qrcodes_printfile", foreign_key=False),
        walls.composite_key("qrcodes_qrcode", "batch_id", "qrcodes_codebatch"),
        walls.composite_key("qrcodes_printfile", "job_id", "qrcodes_printjob"),
    ]
