from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies: ClassVar = [("platforms", "0005_terminals_kept")]

    operations: ClassVar = [
        migrations.AddField(
            model_name="accountterminal",
            name="gaps",
            field=models.JSONField(db_default=[], default=list),
        ),
    ]
