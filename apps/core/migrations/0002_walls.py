"""Walls: row-level security, composite keys, append-only guards."""

from datetime import date
from typing import ClassVar

from django.db import migrations

from apps.core import walls


class Migration(migrations.Migration):
    dependencies: ClassVar = [("core", "0001_initial"), ("merchants", "0001_initial")]
    operations: ClassVar = [
        walls.partition_by_month(
            "core_auditevent", column="at", first_month=date(2026, 9, 1), months=18, guarded=True
        ),
        migrations.RunSQL(
            [
                "CREATE INDEX core_audit_subject ON core_auditevent (merchant_id, subject_kind, subject_id, at)",
                "CREATE INDEX core_audit_at ON core_auditevent (merchant_id, at DESC, id DESC)",
                "CREATE INDEX core_audit_recorded ON core_auditevent (merchant_id, recorded_at)",
            ],
            migrations.RunSQL.noop,
        ),
        walls.protect("core_auditevent"),
        walls.append_only("core_auditevent"),
        walls.protect("core_auditseal"),
        walls.append_only("core_auditseal"),
    ]
