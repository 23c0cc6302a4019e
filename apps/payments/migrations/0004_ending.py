from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies: ClassVar = [("payments", "0003_terminals")]

    operations: ClassVar = [
        migrations.AddField(
            model_name="payment",
            name="ending_at",
            field=models.DateTimeField(null=True),
        ),
    ]
