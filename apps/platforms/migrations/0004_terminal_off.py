from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies: ClassVar = [("platforms", "0003_terminals")]

    operations: ClassVar = [
        migrations.AddField(
            model_name="accountterminal",
            name="off_at",
            field=models.DateTimeField(null=True),
        ),
    ]
