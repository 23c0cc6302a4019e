"""Walls: row-level security, composite keys, append-only guards."""

from datetime import date
from typing import ClassVar

from django.db import migrations

from apps.core import walls


class Migration(migrations.Migration):
    dependencies: ClassVar = [("platforms", "0001_initial"), ("merchants", "0002_walls")]
    operations: ClassVar = [
        walls.protect("platforms_platformaccount"),
        walls.protect("platforms_accountstore", foreign_key=False),
        walls.composite_key("platforms_accountstore", "account_id", "platforms_platformaccount"),
        walls.composite_key("platforms_accountstore", "store_id", "merchants_store"),
        walls.partition_by_month(
            "platforms_notification",
            column="received_at",
            first_month=date(2026, 9, 1),
            months=18,
            guarded=False,
        ),
        migrations.RunSQL(
            [
                "CREATE INDEX platforms_notification_at ON platforms_notification (merchant_id, received_at DESC, id DESC)",
                "CREATE INDEX platforms_notification_order ON platforms_notification (merchant_id, order_no)",
            ],
            migrations.RunSQL.noop,
        ),
        walls.protect("platforms_notification"),
        walls.composite_key("platforms_notification", "account_id", "platforms_platformaccount"),
    ]
