"""Refunds of many payments at once, row by row."""

from typing import ClassVar

import django.contrib.postgres.fields
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import apps.core.tenancy
from apps.core import walls


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("approvals", "0002_walls"),
        ("payments", "0007_desk"),
        ("refunds", "0009_sent_again"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations: ClassVar = [
        migrations.CreateModel(
            name="RefundBatch",
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
                ("wish", models.JSONField()),
                (
                    "share_kind",
                    models.CharField(
                        choices=[
                            ("whole", "All that is left of each"),
                            ("percent", "A part of each, in percent of what was paid"),
                            ("fixed", "The same amount of each"),
                        ],
                        max_length=8,
                    ),
                ),
                ("share_value", models.BigIntegerField(default=0)),
                ("reason", models.CharField(max_length=80)),
                (
                    "reason_code",
                    models.CharField(
                        choices=[
                            ("returned", "Returned goods"),
                            ("wrong_amount", "Wrong amount"),
                            ("paid_twice", "Paid twice"),
                            ("mistake", "Ordered by mistake"),
                            ("out_of_stock", "Out of stock"),
                            ("not_received", "Not received"),
                            ("quality", "Something was wrong with it"),
                            ("other", "Another reason"),
                        ],
                        default="",
                        max_length=16,
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "Waiting for confirmation"),
                            ("running", "Running"),
                            ("paused", "Paused"),
                            ("done", "All sent"),
                            ("refused", "Refused"),
                            ("cancelled", "Stopped"),
                        ],
                        max_length=12,
                    ),
                ),
                ("total_count", models.IntegerField()),
                ("total_minor", models.BigIntegerField()),
                ("left_out", models.JSONField(default=dict)),
                (
                    "store_ids",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.BigIntegerField(), size=None
                    ),
                ),
                ("confirmations", models.IntegerField(default=0)),
                ("permission", models.CharField(default="", max_length=40)),
                ("book_number", models.IntegerField()),
                ("created_at", models.DateTimeField()),
                ("finished_at", models.DateTimeField(null=True)),
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
        migrations.CreateModel(
            name="RefundBatchRow",
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
                ("amount_minor", models.BigIntegerField()),
                ("refund_no", models.CharField(max_length=32)),
                ("outcome", models.CharField(max_length=16)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("planned", "Not yet its turn"),
                            ("made", "Made"),
                            ("refused", "Not made"),
                            ("cancelled", "Stopped before"),
                        ],
                        default="planned",
                        max_length=12,
                    ),
                ),
                ("problem", models.CharField(default="", max_length=24)),
                ("tries", models.IntegerField(default=1)),
                (
                    "batch",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="rows",
                        to="refunds.refundbatch",
                    ),
                ),
                (
                    "payment",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="payments.payment",
                    ),
                ),
                (
                    "refund",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="refunds.refund",
                    ),
                ),
            ],
            options={
                "base_manager_name": "objects",
            },
        ),
        migrations.AddConstraint(
            model_name="refundbatch",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "id"), name="refunds_batch_wall"
            ),
        ),
        migrations.AddConstraint(
            model_name="refundbatch",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "nonce"), name="refunds_batch_nonce"
            ),
        ),
        migrations.AddConstraint(
            model_name="refundbatch",
            constraint=models.CheckConstraint(
                condition=models.Q(("total_count__gte", 1), ("total_minor__gte", 1)),
                name="refunds_batch_total",
            ),
        ),
        migrations.AddIndex(
            model_name="refundbatchrow",
            index=models.Index(
                condition=models.Q(("state", "planned")),
                fields=["merchant_id", "batch", "id"],
                name="refunds_row_left",
            ),
        ),
        migrations.AddIndex(
            model_name="refundbatchrow",
            index=models.Index(fields=["merchant_id", "refund"], name="refunds_row_refund"),
        ),
        migrations.AddConstraint(
            model_name="refundbatchrow",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "id"), name="refunds_row_wall"
            ),
        ),
        migrations.AddConstraint(
            model_name="refundbatchrow",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "batch", "payment"), name="refunds_row_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="refundbatchrow",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "refund_no"), name="refunds_row_refund_no"
            ),
        ),
        migrations.AddConstraint(
            model_name="refundbatchrow",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state", "planned")),
                fields=("merchant_id", "payment"),
                name="refunds_row_planned",
            ),
        ),
        migrations.AddConstraint(
            model_name="refundbatchrow",
            constraint=models.CheckConstraint(
                condition=models.Q(("amount_minor__gte", 1)), name="refunds_row_amount"
            ),
        ),
        migrations.AddConstraint(
            model_name="refundbatchrow",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("state", "made"), _negated=True),
                    ("refund__isnull", False),
                    _connector="OR",
                ),
                name="refunds_row_made",
            ),
        ),
        walls.protect("refunds_refundbatch"),
        walls.protect("refunds_refundbatchrow"),
        walls.composite_key("refunds_refundbatch", "approval_id", "approvals_approval"),
        walls.composite_key("refunds_refundbatchrow", "batch_id", "refunds_refundbatch"),
        walls.composite_key("refunds_refundbatchrow", "payment_id", "payments_payment"),
        walls.composite_key("refunds_refundbatchrow", "refund_id", "refunds_refund"),
    ]
