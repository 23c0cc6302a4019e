"""What was answered in a sweep that goes on, and how far it is."""

from typing import ClassVar

import django.db.models.deletion
from django.db import migrations, models

import apps.core.tenancy
from apps.core import walls


class Migration(migrations.Migration):
    dependencies: ClassVar = [("statements", "0003_bills")]

    operations: ClassVar = [
        migrations.AddField(
            model_name="statementday",
            name="answered",
            field=models.IntegerField(default=0),
        ),
        migrations.AddField(
            model_name="statementday",
            name="questions",
            field=models.IntegerField(default=0),
        ),
        migrations.CreateModel(
            name="SweptAnswer",
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
                ("kind", models.CharField(max_length=8)),
                ("subject_id", models.BigIntegerField()),
                ("line", models.JSONField(null=True)),
                ("is_final", models.BooleanField()),
                ("answered_at", models.DateTimeField()),
                (
                    "day",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="statements.statementday",
                    ),
                ),
            ],
            options={
                "base_manager_name": "objects",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("merchant_id", "day", "kind", "subject_id"),
                        name="statements_swept_once",
                    )
                ],
            },
        ),
        walls.protect("statements_sweptanswer", foreign_key=False),
        walls.composite_key("statements_sweptanswer", "day_id", "statements_statementday"),
    ]
