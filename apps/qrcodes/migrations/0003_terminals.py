from typing import ClassVar

import django.db.models.deletion
from django.db import migrations

import apps.core.tenancy
from apps.core import walls


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("merchants", "0003_terminals"),
        ("qrcodes", "0002_walls"),
    ]

    operations: ClassVar = [
        migrations.AddField(
            model_name="qrcode",
            name="terminal",
            field=apps.core.tenancy.ScopedForeignKey(
                db_constraint=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="codes",
                to="merchants.terminal",
            ),
        ),
        walls.composite_key("qrcodes_qrcode", "terminal_id", "merchants_terminal"),
    ]
