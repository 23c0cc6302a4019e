from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies: ClassVar = [("platforms", "0004_terminal_off")]

    operations: ClassVar = [
        migrations.RemoveConstraint(
            model_name="accountterminal",
            name="platforms_accountterminal_once",
        ),
        migrations.AddConstraint(
            model_name="accountterminal",
            constraint=models.UniqueConstraint(
                condition=models.Q(("off_at__isnull", True)),
                fields=("account", "terminal"),
                name="platforms_accountterminal_once",
                nulls_distinct=False,
            ),
        ),
    ]
