"""Customers ask for money back on their receipt."""

from typing import ClassVar

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import apps.core.tenancy
from apps.core import walls


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("merchants", "0003_terminals"),
        ("payments", "0006_terms"),
        ("refunds", "0004_outside"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations: ClassVar = [
        migrations.CreateModel(
            name="RequestTerms",
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
                ("is_open", models.BooleanField(default=False)),
                ("days", models.IntegerField(default=7)),
                ("policy", models.CharField(default="", max_length=600)),
                ("changed_at", models.DateTimeField()),
            ],
            options={
                "base_manager_name": "objects",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("merchant_id", "id"), name="refunds_terms_wall"
                    ),
                    models.UniqueConstraint(fields=("merchant_id",), name="refunds_terms_one"),
                    models.CheckConstraint(
                        condition=models.Q(("days__gte", 1), ("days__lte", 365)),
                        name="refunds_terms_days",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="RefundRequest",
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
                ("currency", models.CharField(default="CNY", max_length=3)),
                (
                    "reason",
                    models.CharField(
                        choices=[
                            ("wrong_amount", "I paid the wrong amount"),
                            ("paid_twice", "I paid more than once"),
                            ("not_received", "I did not get what I paid for"),
                            ("returned", "I gave it back or cancelled it"),
                            ("quality", "Something was wrong with it"),
                            ("other", "Another reason"),
                        ],
                        max_length=16,
                    ),
                ),
                ("words", models.CharField(default="", max_length=200)),
                ("contact_sealed", models.BinaryField(null=True)),
                ("contact_masked", models.CharField(default="", max_length=60)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("asked", "Waiting for an answer"),
                            ("accepted", "Accepted"),
                            ("declined", "Declined"),
                            ("withdrawn", "Taken back by the customer"),
                        ],
                        default="asked",
                        max_length=12,
                    ),
                ),
                ("answer", models.CharField(default="", max_length=200)),
                ("created_at", models.DateTimeField()),
                ("decided_at", models.DateTimeField(null=True)),
                (
                    "decided_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
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
                "indexes": [
                    models.Index(
                        fields=["merchant_id", "payment", "-id"], name="refunds_request_payment"
                    ),
                    models.Index(
                        condition=models.Q(("state", "asked")),
                        fields=["merchant_id", "created_at", "id"],
                        name="refunds_request_open",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("merchant_id", "id"), name="refunds_request_wall"
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("state", "asked")),
                        fields=("merchant_id", "payment"),
                        name="refunds_request_one_open",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("amount_minor__gt", 0)), name="refunds_request_amount"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("state", "accepted"), ("refund__isnull", False)),
                            models.Q(
                                models.Q(("state", "accepted"), _negated=True),
                                ("refund__isnull", True),
                            ),
                            _connector="OR",
                        ),
                        name="refunds_request_refund",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("state", "asked"), ("decided_at__isnull", True)),
                            models.Q(
                                models.Q(("state", "asked"), _negated=True),
                                ("decided_at__isnull", False),
                            ),
                            _connector="OR",
                        ),
                        name="refunds_request_decided",
                    ),
                ],
            },
        ),
        walls.protect("refunds_requestterms"),
        walls.protect("refunds_refundrequest"),
        walls.composite_key("refunds_refundrequest", "payment_id", "payments_payment"),
        walls.composite_key("refunds_refundrequest", "store_id", "merchants_store"),
        walls.composite_key("refunds_refundrequest", "refund_id", "refunds_refund"),
    ]
