from typing import ClassVar

import django.db.models.deletion
from django.db import migrations, models

import apps.core.tenancy
from apps.core import walls


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("merchants", "0003_terminals"),
        ("platforms", "0002_walls"),
    ]

    operations: ClassVar = [
        migrations.AddField(
            model_name="platformaccount",
            name="cancels_same_day",
            field=models.BooleanField(default=False),
        ),
        migrations.AddField(
            model_name="platformaccount",
            name="priority",
            field=models.IntegerField(default=100),
        ),
        migrations.AddField(
            model_name="platformaccount",
            name="renewed_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="platformaccount",
            name="takes_barcodes",
            field=models.BooleanField(default=True),
        ),
        migrations.AddField(
            model_name="platformaccount",
            name="takes_h5",
            field=models.BooleanField(default=False),
        ),
        migrations.CreateModel(
            name="AccountPace",
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
                ("next_slot_at", models.DateTimeField(null=True)),
                ("failures", models.IntegerField(default=0)),
                ("openings", models.IntegerField(default=0)),
                ("open_until", models.DateTimeField(null=True)),
                ("probing_until", models.DateTimeField(null=True)),
                ("last_ok_at", models.DateTimeField(null=True)),
                ("last_trouble_at", models.DateTimeField(null=True)),
                ("last_code", models.CharField(default="", max_length=64)),
                (
                    "account",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="pace",
                        to="platforms.platformaccount",
                    ),
                ),
            ],
            options={
                "base_manager_name": "objects",
            },
        ),
        migrations.CreateModel(
            name="AccountTerminal",
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
                ("device_id", models.CharField(max_length=128)),
                ("terminal_sn", models.CharField(max_length=32)),
                ("keys_sealed", models.BinaryField()),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("active", "Activated"),
                            ("lost", "Key lost"),
                            ("off", "Switched off"),
                        ],
                        default="active",
                        max_length=8,
                    ),
                ),
                ("activated_at", models.DateTimeField()),
                ("checked_in_at", models.DateTimeField(null=True)),
                ("checking_in_until", models.DateTimeField(null=True)),
                ("detail", models.CharField(default="", max_length=300)),
                (
                    "account",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="terminals",
                        to="platforms.platformaccount",
                    ),
                ),
                (
                    "terminal",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="accounts",
                        to="merchants.terminal",
                    ),
                ),
            ],
            options={
                "base_manager_name": "objects",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("merchant_id", "id"), name="platforms_accountterminal_wall"
                    ),
                    models.UniqueConstraint(
                        fields=("account", "terminal"),
                        name="platforms_accountterminal_once",
                        nulls_distinct=False,
                    ),
                    models.UniqueConstraint(
                        fields=("merchant_id", "account", "terminal_sn"),
                        name="platforms_accountterminal_sn",
                    ),
                ],
            },
        ),
        walls.protect("platforms_accountterminal", foreign_key=False),
        walls.composite_key("platforms_accountterminal", "account_id", "platforms_platformaccount"),
        walls.composite_key("platforms_accountterminal", "terminal_id", "merchants_terminal"),
        walls.protect("platforms_accountpace", foreign_key=False),
        walls.composite_key("platforms_accountpace", "account_id", "platforms_platformaccount"),
    ]
