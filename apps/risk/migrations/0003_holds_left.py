"""A hold may end because the customer gave the order up."""

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies: ClassVar = [("risk", "0002_walls")]

    operations: ClassVar = [
        migrations.AlterField(
            model_name="riskhold",
            name="state",
            field=models.CharField(
                choices=[
                    ("asked", "Waiting for an answer"),
                    ("released", "Released"),
                    ("refused", "Refused"),
                    ("left", "Given up by the customer"),
                ],
                default="asked",
                max_length=8,
            ),
        ),
    ]
