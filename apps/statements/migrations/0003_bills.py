"""Bills made by asking, fees that a bill does not tell, and the columns of console exports."""

from typing import ClassVar

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import apps.core.tenancy
from apps.core import walls


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("platforms", "0003_terminals"),
        ("statements", "0002_walls"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations: ClassVar = [
        migrations.AddField(
            model_name="statement",
            name="fees_known",
            field=models.BooleanField(default=True),
        ),
        migrations.AddField(
            model_name="statement",
            name="is_asked",
            field=models.BooleanField(default=False),
        ),
        migrations.AlterField(
            model_name="statementday",
            name="state",
            field=models.CharField(
                choices=[
                    ("waiting", "Waiting for the platform"),
                    ("absent", "No such bill yet"),
                    ("imported", "Imported"),
                    ("empty", "Nothing on that day"),
                    ("failed", "Failed, will try again"),
                ],
                default="waiting",
                max_length=12,
            ),
        ),
        migrations.AlterField(
            model_name="statementline",
            name="fee_minor",
            field=models.BigIntegerField(null=True),
        ),
        migrations.CreateModel(
            name="ColumnMap",
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
                ("mapping", models.JSONField()),
                ("updated_at", models.DateTimeField()),
                (
                    "account",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="platforms.platformaccount",
                    ),
                ),
                (
                    "updated_by",
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
                "constraints": [
                    models.UniqueConstraint(
                        fields=("merchant_id", "account"), name="statements_columns_once"
                    )
                ],
            },
        ),
        walls.protect("statements_columnmap", foreign_key=False),
        walls.composite_key("statements_columnmap", "account_id", "platforms_platformaccount"),
    ]
