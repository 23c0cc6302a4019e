"""Walls: row-level security, composite keys, append-only guards."""

from typing import ClassVar

from django.db import migrations

from apps.core import walls


class Migration(migrations.Migration):
    dependencies: ClassVar = [
        ("payments", "0001_initial"),
        ("merchants", "0002_walls"),
        ("platforms", "0002_walls"),
        ("qrcodes", "0002_walls"),
    ]
    operations: ClassVar = [
        walls.protect("payments_order", foreign_key=False),
        walls.composite_key("payments_order", "store_id", "merchants_store"),
        walls.composite_key("payments_order", "code_id", "qrcodes_qrcode"),
        walls.protect("payments_payment", foreign_key=False),
        walls.composite_key("payments_payment", "order_id", "payments_order"),
        walls.composite_key("payments_payment", "store_id", "merchants_store"),
        walls.composite_key("payments_payment", "code_id", "qrcodes_qrcode"),
        walls.composite_key("payments_payment", "account_id", "platforms_platformaccount"),
    ]
