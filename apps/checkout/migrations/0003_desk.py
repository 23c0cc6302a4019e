"""Cashiers' shifts with what they added up to, and displays on the wall."""

from typing import ClassVar

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import apps.core.tenancy
from apps.core import walls


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("checkout", "0002_receipts"),
        ("merchants", "0003_terminals"),
        ("qrcodes", "0005_designs"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations: ClassVar = [
        migrations.CreateModel(
            name="Shift",
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
                ("opened_at", models.DateTimeField()),
                ("closed_at", models.DateTimeField(null=True)),
                ("opening_note", models.CharField(default="", max_length=120)),
                ("closing_note", models.CharField(default="", max_length=120)),
                (
                    "member",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "store",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="merchants.store",
                    ),
                ),
            ],
            options={
                "base_manager_name": "objects",
            },
        ),
        migrations.CreateModel(
            name="ShiftTotal",
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
                        choices=[
                            ("wechatpay", "WeChat Pay"),
                            ("alipay", "Alipay"),
                            ("unionpay", "UnionPay QuickPass"),
                            ("shouqianba", "Shouqianba"),
                        ],
                        max_length=12,
                    ),
                ),
                ("paid_count", models.IntegerField()),
                ("paid_minor", models.BigIntegerField()),
                ("refund_count", models.IntegerField()),
                ("refund_minor", models.BigIntegerField()),
                (
                    "shift",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="totals",
                        to="checkout.shift",
                    ),
                ),
            ],
            options={
                "base_manager_name": "objects",
            },
        ),
        migrations.CreateModel(
            name="WallDisplay",
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
                ("name", models.CharField(default="", max_length=40)),
                ("token", models.CharField(max_length=24)),
                ("made_at", models.DateTimeField()),
                ("taken_down_at", models.DateTimeField(null=True)),
                (
                    "code",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="qrcodes.qrcode",
                    ),
                ),
                (
                    "made_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "store",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="merchants.store",
                    ),
                ),
            ],
            options={
                "base_manager_name": "objects",
            },
        ),
        migrations.AddIndex(
            model_name="shift",
            index=models.Index(
                fields=["merchant_id", "-opened_at", "-id"], name="checkout_shift_list"
            ),
        ),
        migrations.AddConstraint(
            model_name="shift",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "id"), name="checkout_shift_wall"
            ),
        ),
        migrations.AddConstraint(
            model_name="shift",
            constraint=models.UniqueConstraint(
                condition=models.Q(("closed_at__isnull", True)),
                fields=("merchant_id", "member"),
                name="checkout_shift_one_open",
            ),
        ),
        migrations.AddConstraint(
            model_name="shift",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("closed_at__isnull", True),
                    ("closed_at__gte", models.F("opened_at")),
                    _connector="OR",
                ),
                name="checkout_shift_period",
            ),
        ),
        migrations.AddConstraint(
            model_name="shifttotal",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "id"), name="checkout_shifttotal_wall"
            ),
        ),
        migrations.AddConstraint(
            model_name="shifttotal",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "shift", "wallet"), name="checkout_shifttotal_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="shifttotal",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("paid_count__gte", 0),
                    ("paid_minor__gte", 0),
                    ("refund_count__gte", 0),
                    ("refund_minor__gte", 0),
                ),
                name="checkout_shifttotal_counts",
            ),
        ),
        migrations.AddConstraint(
            model_name="walldisplay",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "id"), name="checkout_wall_wall"
            ),
        ),
        walls.protect("checkout_shift"),
        walls.composite_key("checkout_shift", "store_id", "merchants_store"),
        walls.protect("checkout_shifttotal"),
        walls.append_only("checkout_shifttotal"),
        walls.composite_key("checkout_shifttotal", "shift_id", "checkout_shift"),
        walls.protect("checkout_walldisplay"),
        walls.composite_key("checkout_walldisplay", "store_id", "merchants_store"),
        walls.composite_key("checkout_walldisplay", "code_id", "qrcodes_qrcode"),
    ]
