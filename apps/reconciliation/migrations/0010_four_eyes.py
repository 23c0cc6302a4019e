"""What waits for a second member goes on only when its own approval was given, even where SQL is typed."""

from typing import ClassVar

from django.db import migrations

from apps.approvals.walls import needs_approval


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("reconciliation", "0009_reserve_purpose"),
        ("approvals", "0004_four_eyes_walls"),
    ]
    operations: ClassVar = [
        needs_approval(
            "reconciliation_dayreopening",
            kind="day_reopening",
            free=["waiting", "rejected", "cancelled"],
            waiting=["waiting"],
            signed=["close_id", "reason", "requested_by_id"],
        ),
    ]
