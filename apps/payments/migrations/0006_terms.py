"""What the code said when an order was opened: its wallets and language; and what its limits count."""

from typing import ClassVar

import django.contrib.postgres.fields
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("merchants", "0003_terminals"),
        ("payments", "0005_outside"),
        ("qrcodes", "0005_designs"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations: ClassVar = [
        migrations.AddField(
            model_name="order",
            name="language",
            field=models.CharField(db_default="", default="", max_length=10),
        ),
        migrations.AddField(
            model_name="order",
            name="wallets",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=12), db_default=[], default=list, size=None
            ),
        ),
        migrations.AddIndex(
            model_name="order",
            index=models.Index(
                fields=["merchant_id", "code", "created_at"], name="payments_order_code"
            ),
        ),
    ]
