"""When a refund last went to the platform: some want a while between two refunds of one payment."""

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("refunds", "0008_one_rule_goes"),
    ]

    operations: ClassVar = [
        migrations.AddField(
            model_name="refund",
            name="tried_at",
            field=models.DateTimeField(null=True),
        ),
    ]
