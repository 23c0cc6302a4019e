"""Walls: row-level security, composite keys, append-only guards."""

from typing import ClassVar

from django.db import migrations

from apps.core import walls


class Migration(migrations.Migration):
    dependencies: ClassVar = [("approvals", "0001_initial"), ("merchants", "0002_walls")]
    operations: ClassVar = [
        walls.protect("approvals_approval"),
        walls.protect("approvals_decision"),
        # The requester is repeated on the decision and held equal by this key, so that one CHECK can refuse self-approval.
        migrations.RunSQL(
            "ALTER TABLE approvals_decision ADD CONSTRAINT approvals_decision_wall"
            " FOREIGN KEY (merchant_id, approval_id, requested_by_id)"
            " REFERENCES approvals_approval (merchant_id, id, requested_by_id) DEFERRABLE INITIALLY DEFERRED",
            "ALTER TABLE approvals_decision DROP CONSTRAINT approvals_decision_wall",
        ),
        walls.append_only("approvals_decision"),
    ]
