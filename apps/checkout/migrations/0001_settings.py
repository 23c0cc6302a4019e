"""What a merchant decides about the payer's pages."""

from typing import ClassVar

from django.db import migrations, models

import apps.core.tenancy
from apps.core import walls


class Migration(migrations.Migration):
    initial = True

    dependencies: ClassVar = [("merchants", "0003_terminals")]

    operations: ClassVar = [
        migrations.CreateModel(
            name="CheckoutSettings",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "merchant_id",
                    models.BigIntegerField(
                        default=apps.core.tenancy.current_merchant_id, editable=False
                    ),
                ),
                ("confirm_over_minor", models.BigIntegerField(default=100000, null=True)),
                ("changed_at", models.DateTimeField()),
            ],
            options={
                "base_manager_name": "objects",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("merchant_id", "id"), name="checkout_settings_wall"
                    ),
                    models.UniqueConstraint(fields=("merchant_id",), name="checkout_settings_one"),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("confirm_over_minor__isnull", True),
                            ("confirm_over_minor__gte", 0),
                            _connector="OR",
                        ),
                        name="checkout_settings_confirm",
                    ),
                ],
            },
        ),
        walls.protect("checkout_checkoutsettings"),
    ]
