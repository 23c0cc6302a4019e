"""What is odd about how a code is used, until somebody has looked at it."""

from typing import ClassVar

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import apps.core.tenancy
from apps.core import walls


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("qrcodes", "0006_bulk"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations: ClassVar = [
        migrations.CreateModel(
            name="CodeAlert",
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
                            ("quiet", "Gone quiet"),
                            ("surge", "Far more scans than usual"),
                            ("unpaid", "Many scans, nothing paid"),
                            ("hours", "Paid at an odd hour"),
                            ("stopped", "Still scanned though stopped"),
                        ],
                        max_length=8,
                    ),
                ),
                ("since", models.DateTimeField()),
                ("opened_at", models.DateTimeField()),
                ("seen_at", models.DateTimeField()),
                ("facts", models.JSONField(default=dict)),
                ("looked_at", models.DateTimeField(null=True)),
                ("note", models.CharField(blank=True, default="", max_length=200)),
                (
                    "code",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="alerts",
                        to="qrcodes.qrcode",
                    ),
                ),
                (
                    "looked_by",
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
                    models.Index(
                        fields=["merchant_id", "code", "kind", "looked_at"],
                        name="qrcodes_alert_past",
                    )
                ],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("merchant_id", "id"), name="qrcodes_alert_wall"
                    ),
                    models.UniqueConstraint(
                        condition=models.Q(("looked_at__isnull", True)),
                        fields=("merchant_id", "code", "kind"),
                        name="qrcodes_alert_open",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("looked_at__isnull", True), ("looked_by__isnull", True)),
                            models.Q(("looked_at__isnull", False), ("looked_by__isnull", False)),
                            _connector="OR",
                        ),
                        name="qrcodes_alert_looked",
                    ),
                ],
            },
        ),
        walls.protect("qrcodes_codealert"),
        walls.composite_key("qrcodes_codealert", "code_id", "qrcodes_qrcode"),
    ]
