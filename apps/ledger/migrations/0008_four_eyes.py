"""What waits for a second member goes on only when its own approval was given, even where SQL is typed."""

from typing import ClassVar

from django.db import migrations

from apps.approvals.walls import needs_approval


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("ledger", "0007_reasons_and_papers"),
        ("approvals", "0004_four_eyes_walls"),
    ]
    operations: ClassVar = [
        needs_approval(
            "ledger_adjustment",
            kind="adjustment",
            free=["waiting", "rejected", "cancelled"],
            waiting=["waiting"],
            signed=["amount_minor", "memo", "at", "reverses_id", "requested_by_id"],
        ),
    ]
