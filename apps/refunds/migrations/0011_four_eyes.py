"""What waits for a second member goes on only when its own approval was given, even where SQL is typed."""

from typing import ClassVar

from django.db import migrations

from apps.approvals.walls import needs_approval


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("refunds", "0010_batches"),
        ("approvals", "0004_four_eyes_walls"),
    ]
    operations: ClassVar = [
        needs_approval(
            "refunds_refund",
            kind="refund",
            free=["waiting", "rejected", "cancelled"],
            waiting=["waiting"],
            signed=[
                "amount_minor",
                "currency",
                "payment_id",
                "refund_no",
                "reason",
                "requested_by_id",
            ],
        ),
        needs_approval(
            "refunds_refundruledraft",
            kind="refund_rules",
            free=["open", "waiting", "dropped"],
            waiting=["open", "waiting"],
            signed=["content", "effective_at"],
        ),
        needs_approval(
            "refunds_refundbatch",
            kind="refund_batch",
            free=["waiting", "refused", "cancelled"],
            waiting=["waiting"],
            signed=[
                "total_count",
                "total_minor",
                "share_kind",
                "share_value",
                "reason",
                "reason_code",
                "requested_by_id",
            ],
        ),
    ]
