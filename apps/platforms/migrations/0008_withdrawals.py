"""A planned version of an agreement can be taken back; that it was is written down, and the version stays readable."""

from typing import ClassVar

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import apps.core.tenancy
from apps.core import walls


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("platforms", "0007_agreements"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations: ClassVar = [
        migrations.CreateModel(
            name="AgreementWithdrawal",
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
                ("at", models.DateTimeField()),
                (
                    "agreement",
                    apps.core.tenancy.ScopedForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="withdrawals",
                        to="platforms.agreement",
                    ),
                ),
                (
                    "by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={"base_manager_name": "objects"},
        ),
        migrations.AddConstraint(
            model_name="agreementwithdrawal",
            constraint=models.UniqueConstraint(
                fields=("merchant_id", "agreement"), name="platforms_withdrawal_once"
            ),
        ),
        walls.protect("platforms_agreementwithdrawal"),
        walls.composite_key("platforms_agreementwithdrawal", "agreement_id", "platforms_agreement"),
        walls.append_only("platforms_agreementwithdrawal"),
    ]
