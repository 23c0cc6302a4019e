"""Walls: row-level security, composite keys, append-only guards."""

from typing import ClassVar

from django.db import migrations

from apps.core import walls


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("refunds", "0001_initial"),
        ("approvals", "0002_walls"),
        ("payments", "0002_walls"),
    ]
    operations: ClassVar = [
        walls.protect("refunds_refundrule"),
        walls.protect("refunds_refund", foreign_key=False),
        walls.composite_key("refunds_refund", "payment_id", "payments_payment"),
        walls.composite_key("refunds_refund", "store_id", "merchants_store"),
        walls.composite_key("refunds_refund", "account_id", "platforms_platformaccount"),
        walls.composite_key("refunds_refund", "approval_id", "approvals_approval"),
    ]
