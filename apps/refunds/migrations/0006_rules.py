"""Rule books by number, their drafts, and each decision with what it weighed."""

from typing import ClassVar

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import apps.core.tenancy
from apps.core import walls


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("approvals", "0002_walls"),
        ("refunds", "0005_requests"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations: ClassVar = [
        migrations.AddField(
            model_name="refund",
            name="reason_code",
            field=models.CharField(
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
                db_default="",
                default="",
                max_length=16,
            ),
        ),
        migrations.CreateModel(
            name="RefundDecision",
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
                ("book_number", models.IntegerField()),
                ("rule_number", models.IntegerField()),
                ("outcome", models.CharField(max_length=16)),
                ("decided_at", models.DateTimeField()),
                ("is_rebuilt", models.BooleanField(default=False)),
                ("payer", models.CharField(max_length=80)),
                ("amount", models.BigIntegerField()),
                ("total", models.BigIntegerField()),
                ("share", models.IntegerField()),
                ("age", models.IntegerField()),
                ("minute", models.IntegerField()),
                ("payer_count_1", models.IntegerField()),
                ("payer_count_7", models.IntegerField()),
                ("payer_count_30", models.IntegerField()),
                ("payer_sum_1", models.BigIntegerField()),
                ("payer_sum_7", models.BigIntegerField()),
                ("payer_sum_30", models.BigIntegerField()),
                ("asker_count_1", models.IntegerField()),
                ("asker_count_7", models.IntegerField()),
                ("asker_count_30", models.IntegerField()),
                ("asker_sum_1", models.BigIntegerField()),
                ("asker_sum_7", models.BigIntegerField()),
                ("asker_sum_30", models.BigIntegerField()),
                ("store_count_1", models.IntegerField()),
                ("store_sum_1", models.BigIntegerField()),
                ("store", models.CharField(max_length=20)),
                ("code", models.CharField(max_length=12)),
                ("platform", models.CharField(max_length=12)),
                ("asker", models.CharField(max_length=16)),
                ("reason", models.CharField(max_length=16)),
                ("origin", models.CharField(max_length=8)),
                (
                    "asked_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "refund",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
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
        migrations.CreateModel(
            name="RefundRuleBook",
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
                ("content", models.JSONField()),
                ("effective_at", models.DateTimeField()),
                ("published_at", models.DateTimeField()),
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
            name="RefundRuleDraft",
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
                ("content", models.JSONField()),
                ("revision", models.IntegerField(default=1)),
                ("based_on", models.IntegerField()),
                ("effective_at", models.DateTimeField(null=True)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("open", "Draft"),
                            ("waiting", "Waiting for confirmation"),
                            ("published", "Published"),
                            ("dropped", "Dropped"),
                        ],
                        default="open",
                        max_length=12,
                    ),
                ),
                ("changed_at", models.DateTimeField()),
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
                    "changed_by",
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
        migrations.AddIndex(
            model_name="refunddecision",
            index=models.Index(fields=["merchant_id", "decided_at"], name="refunds_decided"),
        ),
        migrations.AddIndex(
            model_name="refunddecision",
            index=models.Index(
                fields=["merchant_id", "payer", "decided_at"], name="refunds_by_payer"
            ),
        ),
        migrations.AddIndex(
            model_name="refunddecision",
            index=models.Index(
                fields=["merchant_id", "asked_by", "decided_at"], name="refunds_by_asker"
            ),
        ),
        migrations.AddIndex(
            model_name="refunddecision",
            index=models.Index(
                fields=["merchant_id", "store", "decided_at"], name="refunds_by_store"
            ),
        ),
        migrations.AddConstraint(
            model_name="refunddecision",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "refund"), name="refunds_decided_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="refundrulebook",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "id"), name="refunds_book_wall"
            ),
        ),
        migrations.AddConstraint(
            model_name="refundrulebook",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "number"), name="refunds_book_number"
            ),
        ),
        migrations.AddConstraint(
            model_name="refundrulebook",
            constraint=models.CheckConstraint(
                condition=models.Q(("number__gte", 1)), name="refunds_book_counted"
            ),
        ),
        migrations.AddConstraint(
            model_name="refundruledraft",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "id"), name="refunds_draft_wall"
            ),
        ),
        migrations.AddConstraint(
            model_name="refundruledraft",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state__in", ["open", "waiting"])),
                fields=("merchant_id",),
                name="refunds_draft_one",
            ),
        ),
        walls.protect("refunds_refundrulebook"),
        walls.protect("refunds_refundruledraft"),
        walls.protect("refunds_refunddecision"),
        walls.composite_key("refunds_refundrulebook", "approval_id", "approvals_approval"),
        walls.composite_key("refunds_refundruledraft", "approval_id", "approvals_approval"),
        walls.composite_key("refunds_refunddecision", "refund_id", "refunds_refund"),
        walls.append_only("refunds_refundrulebook"),
        walls.append_only("refunds_refunddecision"),
    ]
