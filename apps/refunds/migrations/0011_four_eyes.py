"""What waits for a second member goes on only when its own approval was given, even where SQL is typed."""

from typing import ClassVar

from django.db import migrations

from apps.approvals.walls import needs_approval

#: As ``approvals_gate``; a refund of a batch goes by the approval of the batch, which has this payment with this amount on its list.
GATE = """
CREATE OR REPLACE FUNCTION refunds_gate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.approval_id IS NOT NULL AND NEW.approval_id IS NULL THEN
        RAISE EXCEPTION '%: the approval is not taken away', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
    END IF;
    IF NEW.approval_id IS NOT NULL AND NEW.state <> ALL (string_to_array(TG_ARGV[1], ',')) AND NOT EXISTS (
        SELECT FROM approvals_approval
        WHERE merchant_id = NEW.merchant_id AND id = NEW.approval_id AND state = 'approved'
          AND subject_kind = TG_ARGV[0] AND subject_id = NEW.id
    ) AND NOT EXISTS (
        SELECT FROM approvals_approval a
        JOIN refunds_refundbatchrow r ON r.merchant_id = a.merchant_id AND r.batch_id = a.subject_id
        WHERE a.merchant_id = NEW.merchant_id AND a.id = NEW.approval_id AND a.state = 'approved'
          AND a.subject_kind = 'refund_batch' AND r.payment_id = NEW.payment_id AND r.amount_minor = NEW.amount_minor
    ) THEN
        RAISE EXCEPTION '%: it waits for another member', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$
"""


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("refunds", "0010_batches"),
        ("approvals", "0004_four_eyes_walls"),
    ]
    operations: ClassVar = [
        migrations.RunSQL(GATE, "DROP FUNCTION refunds_gate()"),
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
            gate="refunds_gate",
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
