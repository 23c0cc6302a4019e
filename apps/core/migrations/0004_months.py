"""Months made ahead by the application's own role."""

from typing import ClassVar

from django.db import migrations

from apps.core import walls


class Migration(migrations.Migration):
    dependencies: ClassVar = [("core", "0003_due_batches")]
    operations: ClassVar = [
        migrations.RunSQL(
            walls.MAKE_MONTHS, "DROP FUNCTION IF EXISTS portal_make_months(date, integer)"
        ),
    ]
