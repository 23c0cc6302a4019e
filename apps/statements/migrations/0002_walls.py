"""Walls: row-level security, composite keys, append-only guards."""

from typing import ClassVar

from django.db import migrations

from apps.core import walls


class Migration(migrations.Migration):
    dependencies: ClassVar = [("statements", "0001_initial"), ("platforms", "0002_walls")]
    operations: ClassVar = [
        walls.protect("statements_statementday", foreign_key=False),
        walls.composite_key("statements_statementday", "account_id", "platforms_platformaccount"),
        walls.protect("statements_statement", foreign_key=False),
        walls.composite_key("statements_statement", "account_id", "platforms_platformaccount"),
        walls.protect("statements_statementline", foreign_key=False),
        walls.composite_key("statements_statementline", "statement_id", "statements_statement"),
    ]
