from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("refunds", "0002_walls"),
    ]

    operations: ClassVar = [
        migrations.AddField(
            model_name="refund",
            name="is_automatic",
            field=models.BooleanField(default=False),
        ),
    ]
