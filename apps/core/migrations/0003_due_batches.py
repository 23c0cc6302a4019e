"""Dues are claimed in rounds of one task: the index that a round reads from its beginning."""

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies: ClassVar = [("core", "0002_walls")]

    operations: ClassVar = [
        migrations.RemoveIndex(model_name="due", name="core_due_next"),
        migrations.AddIndex(
            model_name="due",
            index=models.Index(fields=["task", "due_at", "id"], name="core_due_of_task"),
        ),
        migrations.AddIndex(
            model_name="due",
            index=models.Index(fields=["merchant_id", "id"], name="core_due_of_merchant"),
        ),
        # Rows here change all the time and few are alive. A claim changes no indexed column, so with some room in each
        # page it leaves the indexes alone; what is dead at the beginning of an index is read again by every claimer
        # until it is swept out.
        migrations.RunSQL(
            "ALTER TABLE core_due SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02,"
            " autovacuum_analyze_scale_factor = 0.05)",
            "ALTER TABLE core_due RESET (fillfactor, autovacuum_vacuum_scale_factor,"
            " autovacuum_analyze_scale_factor)",
        ),
    ]
