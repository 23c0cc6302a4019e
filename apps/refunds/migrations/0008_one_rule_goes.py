"""The rule with one threshold is a book of rules now."""

from typing import ClassVar

from django.db import migrations


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("refunds", "0007_rules_history"),
    ]

    operations: ClassVar = [
        migrations.DeleteModel(name="RefundRule"),
    ]
