"""Walls: row-level security, composite keys, append-only guards."""

from typing import ClassVar

from django.db import migrations

from apps.core import walls


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("reconciliation", "0001_initial"),
        ("statements", "0002_walls"),
        ("refunds", "0002_walls"),
    ]
    operations: ClassVar = [
        walls.protect("reconciliation_reconciliationrun", foreign_key=False),
        walls.composite_key(
            "reconciliation_reconciliationrun", "account_id", "platforms_platformaccount"
        ),
        walls.composite_key(
            "reconciliation_reconciliationrun", "statement_id", "statements_statement"
        ),
        walls.protect("reconciliation_match", foreign_key=False),
        walls.composite_key("reconciliation_match", "run_id", "reconciliation_reconciliationrun"),
        walls.composite_key("reconciliation_match", "line_id", "statements_statementline"),
        walls.composite_key("reconciliation_match", "payment_id", "payments_payment"),
        walls.composite_key("reconciliation_match", "refund_id", "refunds_refund"),
        walls.protect("reconciliation_difference", foreign_key=False),
        walls.composite_key(
            "reconciliation_difference", "run_id", "reconciliation_reconciliationrun"
        ),
        walls.composite_key("reconciliation_difference", "line_id", "statements_statementline"),
        walls.composite_key("reconciliation_difference", "payment_id", "payments_payment"),
        walls.composite_key("reconciliation_difference", "refund_id", "refunds_refund"),
    ]
