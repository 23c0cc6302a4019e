"""What waits for a second member goes on only when its own approval was given, even where SQL is typed."""

from typing import ClassVar

from django.db import migrations

from apps.approvals.walls import guard, needs_approval

#: As ``approvals_gate``; a refund of a batch goes by the approval of the batch, which has this payment with this amount on its list.
GATE = """
CREATE OR REPLACE FUNCTION refunds_gate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.approval_id IS NOT NULL AND NEW.approval_id IS DISTINCT FROM OLD.approval_id THEN
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
          -- Trying again gives the row another number, and what the platform says of the old refund is still heard.
          AND (r.refund_no = NEW.refund_no OR OLD.state <> ALL (string_to_array(TG_ARGV[1], ',')))
    ) THEN
        RAISE EXCEPTION '%: it waits for another member', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$
"""

#: What a batch is to do is written before it is confirmed, and stays: no row is added, taken away, or of another amount.
ROWS = """
CREATE OR REPLACE FUNCTION refunds_batch_rows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'a row of a batch is never deleted' USING ERRCODE = 'restrict_violation';
    END IF;
    IF TG_OP = 'INSERT' THEN
        IF EXISTS (
            SELECT FROM refunds_refundbatch
            WHERE merchant_id = NEW.merchant_id AND id = NEW.batch_id AND approval_id IS NOT NULL
        ) THEN
            RAISE EXCEPTION 'nothing is added to what was put under four eyes' USING ERRCODE = 'restrict_violation';
        END IF;
    ELSIF (NEW.merchant_id, NEW.id, NEW.batch_id, NEW.payment_id, NEW.amount_minor)
        IS DISTINCT FROM (OLD.merchant_id, OLD.id, OLD.batch_id, OLD.payment_id, OLD.amount_minor) THEN
        RAISE EXCEPTION 'what a batch is to do never changes' USING ERRCODE = 'restrict_violation';
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
        migrations.RunSQL(ROWS, "DROP FUNCTION refunds_batch_rows()"),
        guard("refunds_refundbatchrow", "refunds_batch_rows", "INSERT OR UPDATE OR DELETE"),
    ]
