"""Finding what a member took: the desk's queue and shifts."""

from typing import ClassVar

from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("merchants", "0003_terminals"),
        ("payments", "0006_terms"),
        ("qrcodes", "0005_designs"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations: ClassVar = [
        migrations.AddIndex(
            model_name="order",
            index=models.Index(
                condition=models.Q(("taken_by__isnull", False)),
                fields=["merchant_id", "taken_by", "-created_at"],
                name="payments_order_taken",
            ),
        ),
    ]
