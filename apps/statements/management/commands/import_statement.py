"""Import a bill file as downloaded from a platform's console."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from datetime import date
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.core import clock
from apps.core.audit import Actor
from apps.core.doors import DoorNotFound, find_door
from apps.core.money import Money
from apps.core.tenancy import Scope, enter_scope
from apps.platforms.gateway import StatementKind
from apps.statements.models import Statement
from apps.statements.services import StatementRefused, import_statement


class Command(BaseCommand):
    """``manage.py import_statement FILE --account REF --date D [--kind trade/fund] [--json]``."""

    help = "Imports a bill file (CSV, gzip or zip as downloaded), whole or not at all. A worker then matches it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The account is named by the last part of its notification address; the day is the platform's (China time)."""
        parser.add_argument("file", type=Path, metavar="FILE")
        parser.add_argument("--account", required=True, metavar="REF")
        parser.add_argument("--date", dest="day", required=True, type=date.fromisoformat)
        parser.add_argument(
            "--kind", choices=[kind.value for kind in StatementKind], default="trade"
        )
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        """Import it. Raises CommandError when nothing was imported."""
        path: Path = options["file"]
        try:
            door = find_door(kind="account", token=options["account"])
        except DoorNotFound as error:
            raise CommandError(f"There is no account {options['account']}.") from error
        try:
            content = path.open("rb")
        except OSError as error:
            raise CommandError(f"{path} cannot be read: {error.strerror}") from error
        now = clock.now()
        try:
            with content, enter_scope(Scope(door.merchant_id)):
                statement = import_statement(
                    account_id=door.subject_id,
                    kind=StatementKind(options["kind"]),
                    day=options["day"],
                    filename=path.name,
                    content=content,
                    uploaded_by=None,
                    actor=Actor.system("import_statement"),
                    now=now,
                )
                report = self._report(
                    statement, account=options["account"], imported=statement.imported_at == now
                )
        except StatementRefused as error:
            detail = f" ({error.detail})" if error.detail else ""
            raise CommandError(f"{path}: {error.message}{detail} Nothing was imported.") from error
        if options["json"]:
            self.stdout.write(json.dumps(report))
        elif report["imported"]:
            self.stdout.write(
                f"{path}: {report['rows']} rows imported as version {report['version']},"
                f" payments ¥{report['payment_yuan']}, refunds ¥{report['refund_yuan']}"
            )
        else:
            self.stdout.write(f"{path}: is here already as version {report['version']}")

    def _report(self, statement: Statement, *, account: str, imported: bool) -> dict[str, Any]:
        return {
            "account": account,
            "kind": statement.kind,
            "day": statement.day.isoformat(),
            "statement_id": statement.pk,
            "version": statement.version,
            "imported": imported,
            "sha256": statement.sha256,
            "bytes": statement.byte_count,
            "rows": statement.lines.count(),
            "payment_count": statement.payment_count,
            "payment_yuan": Money(statement.payment_minor).to_yuan(),
            "refund_count": statement.refund_count,
            "refund_yuan": Money(statement.refund_minor).to_yuan(),
            "fee_yuan": Money(statement.fee_minor).to_yuan(),
            "unknown_columns": statement.unknown_columns,
        }
