"""Check every invariant of the books."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.core.tenancy import Scope, enter_scope
from apps.merchants.models import Merchant
from apps.operations import books


class Command(BaseCommand):
    """``manage.py verify_books [--merchant SLUG] [--json]``."""

    help = "Checks that each merchant's books hold together and names the first bad row."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """All merchants unless one is named."""
        parser.add_argument("--merchant", default="")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        """Verify. Raises CommandError, so that the exit status is not 0, when anything is broken."""
        merchants = Merchant.objects.order_by("pk")
        if options["merchant"]:
            merchants = merchants.filter(slug=options["merchant"])
            if not merchants:
                raise CommandError(f"There is no merchant {options['merchant']!r}.")
        found: dict[str, list[dict[str, str]]] = {}
        for merchant in merchants:
            with enter_scope(Scope(merchant.pk)):
                found[merchant.slug] = [
                    {"check": finding.check, "row": finding.row} for finding in books.verify()
                ]
        broken = {slug: findings for slug, findings in found.items() if findings}
        if options["json"]:
            self.stdout.write(
                json.dumps({"ok": not broken, "merchants": found}, ensure_ascii=False)
            )
        else:
            for slug, findings in found.items():
                self.stdout.write(f"{slug}: {'ok' if not findings else ''}")
                for finding in findings:
                    self.stdout.write(
                        f"  NOT TRUE: {finding['check']}. First bad row: {finding['row']}"
                    )
        if broken:
            raise CommandError("The books do not hold together.")
