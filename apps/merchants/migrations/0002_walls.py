"""Walls: row-level security, composite keys, append-only guards."""

from typing import ClassVar

from django.db import migrations

from apps.core import walls


class Migration(migrations.Migration):
    dependencies: ClassVar = [("merchants", "0001_initial"), ("core", "0002_walls")]
    operations: ClassVar = [
        walls.protect("merchants_store"),
        walls.protect("merchants_invitation"),
    ]
