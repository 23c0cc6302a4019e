"""When a morning's members are told, the mails of it, and who wants them."""

from typing import ClassVar

import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

import apps.core.tenancy
from apps.core import walls


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("reconciliation", "0003_matching"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations: ClassVar = [
        migrations.CreateModel(
            name="Morning",
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
                ("deadline_at", models.DateTimeField()),
                ("told_at", models.DateTimeField(null=True)),
                ("was_ready", models.BooleanField(null=True)),
                (
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
            ],
            options={
                "base_manager_name": "objects",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("merchant_id", "id"), name="reconciliation_morning_wall"
                    ),
                    models.UniqueConstraint(
                        fields=("merchant_id", "day"), name="reconciliation_morning_day"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("told_at__isnull", True), ("was_ready__isnull", True)),
                            models.Q(("told_at__isnull", False), ("was_ready__isnull", False)),
                            _connector="OR",
                        ),
                        name="reconciliation_morning_told",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="MorningMail",
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
                    "created_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                (
                    "morning",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="mails",
                        to="reconciliation.morning",
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
                "constraints": [
                    models.UniqueConstraint(
                        fields=("merchant_id", "morning", "user"),
                        name="reconciliation_morning_mail_once",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="MorningReader",
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
                ("is_wanted", models.BooleanField()),
                ("language", models.CharField(blank=True, default="", max_length=10)),
                ("updated_at", models.DateTimeField()),
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
                "constraints": [
                    models.UniqueConstraint(
                        fields=("merchant_id", "user"), name="reconciliation_morning_reader_once"
                    )
                ],
            },
        ),
        walls.protect("reconciliation_morning"),
        walls.protect("reconciliation_morningmail", foreign_key=False),
        walls.composite_key("reconciliation_morningmail", "morning_id", "reconciliation_morning"),
        walls.protect("reconciliation_morningreader"),
    ]
