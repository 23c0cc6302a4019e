"""Lines of fund bills: the movement's own number, and what is left after it."""

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies: ClassVar = [("statements", "0004_sweeps")]

    operations: ClassVar = [
        migrations.AddField(
            model_name="statementline",
            name="flow_no",
            field=models.CharField(db_default="", default="", max_length=64),
        ),
        migrations.AddField(
            model_name="statementline",
            name="balance_minor",
            field=models.BigIntegerField(null=True),
        ),
    ]
