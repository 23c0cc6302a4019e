"""Walls: row-level security, composite keys, append-only guards."""

from datetime import date
from typing import ClassVar

from django.db import migrations

from apps.core import walls


class Migration(migrations.Migration):
    dependencies: ClassVar = [("qrcodes", "0001_initial"), ("merchants", "0002_walls")]
    operations: ClassVar = [
        walls.protect("qrcodes_scenario", foreign_key=False),
        walls.composite_key("qrcodes_scenario", "store_id", "merchants_store"),
        walls.protect("qrcodes_qrcode", foreign_key=False),
        walls.composite_key("qrcodes_qrcode", "scenario_id", "qrcodes_scenario"),
        walls.composite_key("qrcodes_qrcode", "store_id", "merchants_store"),
        walls.partition_by_month(
            "qrcodes_scan", column="at", first_month=date(2026, 9, 1), months=18, guarded=True
        ),
        migrations.RunSQL(
            "CREATE INDEX qrcodes_scan_code ON qrcodes_scan (merchant_id, code_id, at)",
            migrations.RunSQL.noop,
        ),
        walls.protect("qrcodes_scan", foreign_key=False),
        walls.composite_key("qrcodes_scan", "code_id", "qrcodes_qrcode"),
        walls.append_only("qrcodes_scan"),
    ]
