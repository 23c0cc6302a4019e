"""Walls of the new tables, and triggers: what was asked never changes, and nothing is approved but by decisions."""

from typing import ClassVar

from django.db import migrations

from apps.approvals.walls import (
    APPROVAL_GUARD,
    DECISION_GUARD,
    DELEGATION_GUARD,
    GATE,
    SIGNED,
    guard,
)
from apps.core import walls


class Migration(migrations.Migration):
    dependencies: ClassVar = [("approvals", "0003_four_eyes")]
    operations: ClassVar = [
        walls.protect("approvals_delegation"),
        walls.protect("approvals_approvalterms"),
        walls.protect("approvals_approvalnotice"),
        walls.protect("approvals_approvalmail"),
        walls.composite_key("approvals_approvalnotice", "approval_id", "approvals_approval"),
        walls.composite_key("approvals_approvalmail", "notice_id", "approvals_approvalnotice"),
        # Who handed the right to whom is repeated on the decision and held equal by this key.
        migrations.RunSQL(
            "ALTER TABLE approvals_decision ADD CONSTRAINT approvals_decision_delegation_wall"
            " FOREIGN KEY (merchant_id, delegation_id, on_behalf_of_id, member_id)"
            " REFERENCES approvals_delegation (merchant_id, id, giver_id, receiver_id)"
            " DEFERRABLE INITIALLY DEFERRED",
            "ALTER TABLE approvals_decision DROP CONSTRAINT approvals_decision_delegation_wall",
        ),
        walls.append_only("approvals_approvalterms"),
        *(
            migrations.RunSQL(function, migrations.RunSQL.noop)
            for function in (APPROVAL_GUARD, DECISION_GUARD, DELEGATION_GUARD, GATE, SIGNED)
        ),
        guard("approvals_approval", "approvals_guard", "INSERT OR UPDATE OR DELETE"),
        guard("approvals_decision", "approvals_decision_guard", "INSERT"),
        guard("approvals_delegation", "approvals_delegation_guard", "UPDATE OR DELETE"),
    ]
