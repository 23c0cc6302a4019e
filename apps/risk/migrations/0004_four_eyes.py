"""What waits for a second member goes on only when its own approval was given, even where SQL is typed."""

from typing import ClassVar

from django.db import migrations

from apps.approvals.walls import needs_approval


class Migration(migrations.Migration):
    dependencies: ClassVar = [("risk", "0003_holds_left"), ("approvals", "0004_four_eyes_walls")]
    operations: ClassVar = [
        needs_approval(
            "risk_riskdraft",
            kind="risk_book",
            free=["waiting", "dropped"],
            waiting=["waiting"],
            signed=["rules", "effective_from", "based_on", "reason"],
        ),
    ]
