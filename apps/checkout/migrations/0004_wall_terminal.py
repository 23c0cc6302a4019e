"""A display may belong to one terminal's desk."""

from typing import ClassVar

import django.db.models.deletion
from django.db import migrations, models

import apps.core.tenancy
from apps.core import walls


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("checkout", "0003_desk"),
        ("merchants", "0003_terminals"),
        ("qrcodes", "0005_designs"),
    ]

    operations: ClassVar = [
        migrations.AddField(
            model_name="walldisplay",
            name="terminal",
            field=apps.core.tenancy.ScopedForeignKey(
                db_constraint=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="merchants.terminal",
            ),
        ),
        migrations.AddConstraint(
            model_name="walldisplay",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("code__isnull", True), ("terminal__isnull", True), _connector="OR"
                ),
                name="checkout_wall_shows_one",
            ),
        ),
        walls.composite_key("checkout_walldisplay", "terminal_id", "merchants_terminal"),
    ]
