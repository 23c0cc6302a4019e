"""An entry's postings are found by merchant and entry, also while the planner has no statistics."""

from typing import ClassVar

import django.db.models.deletion
from django.db import migrations, models

import apps.core.tenancy


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("ledger", "0003_adjustments"),
    ]

    operations: ClassVar = [
        migrations.AlterField(
            model_name="posting",
            name="entry",
            field=apps.core.tenancy.ScopedForeignKey(
                db_constraint=False,
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="postings",
                to="ledger.journalentry",
            ),
        ),
        migrations.AddIndex(
            model_name="posting",
            index=models.Index(fields=["merchant_id", "entry"], name="ledger_posting_entry"),
        ),
    ]
