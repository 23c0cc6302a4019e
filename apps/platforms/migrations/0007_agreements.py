"""Agreements with their fees and papers, what was looked at before signing, and who was told that one ends."""

from typing import ClassVar

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import apps.core.tenancy
from apps.core import walls


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("platforms", "0006_terminals_again"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations: ClassVar = [
        migrations.AddField(
            model_name="platformaccount",
            name="has_agreement",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.CreateModel(
            name="Agreement",
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
                ("effective_from", models.DateField()),
                ("service", models.CharField(max_length=80)),
                ("number", models.CharField(blank=True, default="", max_length=64)),
                ("signed_on", models.DateField(null=True)),
                ("valid_from", models.DateField()),
                ("valid_until", models.DateField(null=True)),
                ("renews", models.BooleanField(default=False)),
                ("cycle_days", models.IntegerField(default=1)),
                ("working_days", models.BooleanField(default=True)),
                ("refund_window_days", models.IntegerField(null=True)),
                ("fee_back_ppm", models.IntegerField(default=1000000)),
                ("payment_limit_minor", models.BigIntegerField(null=True)),
                ("day_limit_minor", models.BigIntegerField(null=True)),
                ("deposit_minor", models.BigIntegerField(default=0)),
                ("compensation", models.TextField(blank=True, default="", max_length=2000)),
                ("security", models.TextField(blank=True, default="", max_length=2000)),
                ("note", models.CharField(blank=True, default="", max_length=300)),
                ("created_at", models.DateTimeField()),
                (
                    "account",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="agreements",
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
            ],
            options={
                "base_manager_name": "objects",
            },
        ),
        migrations.CreateModel(
            name="AgreementDocument",
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
                ("title", models.CharField(max_length=80)),
                ("filename", models.CharField(max_length=160)),
                (
                    "kind",
                    models.CharField(
                        choices=[("pdf", "PDF"), ("jpeg", "JPEG"), ("png", "PNG")], max_length=8
                    ),
                ),
                ("sha256", models.CharField(max_length=64)),
                ("byte_count", models.BigIntegerField()),
                ("page_count", models.IntegerField()),
                ("created_at", models.DateTimeField()),
                (
                    "account",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="documents",
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
            ],
            options={
                "base_manager_name": "objects",
            },
        ),
        migrations.CreateModel(
            name="AgreementReminder",
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
                ("valid_until", models.DateField()),
                ("days_before", models.IntegerField()),
                ("at", models.DateTimeField()),
                (
                    "account",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="platforms.platformaccount",
                    ),
                ),
            ],
            options={
                "base_manager_name": "objects",
            },
        ),
        migrations.CreateModel(
            name="ChecklistTick",
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
                    "platform",
                    models.CharField(
                        choices=[
                            ("wechatpay", "WeChat Pay"),
                            ("alipay", "Alipay"),
                            ("unionpay", "UnionPay QuickPass"),
                            ("shouqianba", "Shouqianba"),
                        ],
                        max_length=12,
                    ),
                ),
                ("item", models.CharField(max_length=24)),
                ("is_done", models.BooleanField()),
                ("note", models.CharField(blank=True, default="", max_length=200)),
                ("at", models.DateTimeField()),
                (
                    "account",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="ticks",
                        to="platforms.platformaccount",
                    ),
                ),
                (
                    "by",
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
            name="DocumentPiece",
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
                    "document",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="pieces",
                        to="platforms.agreementdocument",
                    ),
                ),
            ],
            options={
                "base_manager_name": "objects",
            },
        ),
        migrations.CreateModel(
            name="FeeTier",
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
                    "wallet",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("wechatpay", "WeChat Pay"),
                            ("alipay", "Alipay"),
                            ("unionpay", "UnionPay QuickPass"),
                            ("shouqianba", "Shouqianba"),
                        ],
                        default="",
                        max_length=12,
                    ),
                ),
                ("product", models.CharField(blank=True, default="", max_length=12)),
                ("from_minor", models.BigIntegerField(default=0)),
                ("rate_ppm", models.IntegerField()),
                ("cap_minor", models.BigIntegerField(null=True)),
                ("least_minor", models.BigIntegerField(default=0)),
                (
                    "rounding",
                    models.CharField(
                        choices=[
                            ("half_up", "Half a fen and more upwards"),
                            ("down", "Always downwards"),
                            ("up", "Always upwards"),
                            ("half_even", "Half a fen to the even fen"),
                        ],
                        default="half_up",
                        max_length=10,
                    ),
                ),
                (
                    "agreement",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="tiers",
                        to="platforms.agreement",
                    ),
                ),
            ],
            options={
                "base_manager_name": "objects",
            },
        ),
        migrations.CreateModel(
            name="ReminderMail",
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
                ("sent_at", models.DateTimeField(null=True)),
                (
                    "reminder",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="mails",
                        to="platforms.agreementreminder",
                    ),
                ),
                (
                    "user",
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
            model_name="agreement",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "id"), name="platforms_agreement_wall"
            ),
        ),
        migrations.AddConstraint(
            model_name="agreement",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "account", "version"), name="platforms_agreement_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="agreement",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("valid_until__isnull", True),
                    ("valid_until__gte", models.F("valid_from")),
                    _connector="OR",
                ),
                name="platforms_agreement_validity",
            ),
        ),
        migrations.AddConstraint(
            model_name="agreement",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("cycle_days__gte", 0),
                    ("cycle_days__lte", 60),
                    ("deposit_minor__gte", 0),
                    ("fee_back_ppm__gte", 0),
                    ("fee_back_ppm__lte", 1000000),
                    ("version__gte", 1),
                    models.Q(
                        ("refund_window_days__isnull", True),
                        models.Q(("refund_window_days__gte", 0), ("refund_window_days__lte", 3660)),
                        _connector="OR",
                    ),
                    models.Q(
                        ("payment_limit_minor__isnull", True),
                        ("payment_limit_minor__gt", 0),
                        _connector="OR",
                    ),
                    models.Q(
                        ("day_limit_minor__isnull", True),
                        ("day_limit_minor__gt", 0),
                        _connector="OR",
                    ),
                ),
                name="platforms_agreement_sane",
            ),
        ),
        migrations.AddConstraint(
            model_name="agreementdocument",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "id"), name="platforms_document_wall"
            ),
        ),
        migrations.AddConstraint(
            model_name="agreementdocument",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "account", "sha256"), name="platforms_document_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="agreementdocument",
            constraint=models.CheckConstraint(
                condition=models.Q(("byte_count__gt", 0), ("page_count__gt", 0)),
                name="platforms_document_sane",
            ),
        ),
        migrations.AddConstraint(
            model_name="agreementreminder",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "id"), name="platforms_reminder_wall"
            ),
        ),
        migrations.AddConstraint(
            model_name="agreementreminder",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "account", "valid_until", "days_before"),
                name="platforms_reminder_once",
            ),
        ),
        migrations.AddIndex(
            model_name="checklisttick",
            index=models.Index(
                fields=["merchant_id", "platform", "account", "item", "-id"],
                name="platforms_tick_latest",
            ),
        ),
        migrations.AddConstraint(
            model_name="documentpiece",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "document", "number"), name="platforms_documentpiece_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="feetier",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "agreement", "wallet", "product", "from_minor"),
                name="platforms_feetier_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="feetier",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("from_minor__gte", 0),
                    ("from_minor__lte", 10000000000),
                    ("least_minor__gte", 0),
                    ("rate_ppm__gte", 0),
                    ("rate_ppm__lte", 1000000),
                    models.Q(
                        ("cap_minor__isnull", True),
                        models.Q(("cap_minor__gt", 0), ("cap_minor__gte", models.F("least_minor"))),
                        _connector="OR",
                    ),
                ),
                name="platforms_feetier_sane",
            ),
        ),
        migrations.AddConstraint(
            model_name="remindermail",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "reminder", "user"), name="platforms_remindermail_once"
            ),
        ),
        walls.protect("platforms_agreement", foreign_key=False),
        walls.composite_key("platforms_agreement", "account_id", "platforms_platformaccount"),
        walls.append_only("platforms_agreement"),
        walls.protect("platforms_feetier", foreign_key=False),
        walls.composite_key("platforms_feetier", "agreement_id", "platforms_agreement"),
        walls.append_only("platforms_feetier"),
        walls.protect("platforms_agreementdocument", foreign_key=False),
        walls.composite_key(
            "platforms_agreementdocument", "account_id", "platforms_platformaccount"
        ),
        walls.protect("platforms_documentpiece", foreign_key=False),
        walls.composite_key(
            "platforms_documentpiece", "document_id", "platforms_agreementdocument"
        ),
        walls.protect("platforms_checklisttick"),
        walls.composite_key("platforms_checklisttick", "account_id", "platforms_platformaccount"),
        walls.append_only("platforms_checklisttick"),
        walls.protect("platforms_agreementreminder", foreign_key=False),
        walls.composite_key(
            "platforms_agreementreminder", "account_id", "platforms_platformaccount"
        ),
        walls.protect("platforms_remindermail", foreign_key=False),
        walls.composite_key("platforms_remindermail", "reminder_id", "platforms_agreementreminder"),
    ]
