"""Months of the tables that are split by month."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from datetime import date, datetime
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from apps.core import clock, partitions


def _month(text: str) -> date:
    try:
        return datetime.strptime(text, "%Y-%m").date()  # noqa: DTZ007  # a month of the calendar, no moment
    except ValueError as error:
        raise CommandError(f"{text!r} is not a month such as 2026-09.") from error


class Command(BaseCommand):
    """``manage.py partitions list|make|detach|attach|rescue [TABLE] [MONTH]``; all but ``list`` and ``make`` as the owner."""

    help = "Shows, makes, takes out and puts back the months of the tables that are split by month."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """What to do, with which table and month."""
        parser.add_argument("act", choices=["list", "make", "detach", "attach", "rescue"])
        parser.add_argument("table", nargs="?", default="")
        parser.add_argument("month", nargs="?", default="", help="such as 2026-09")
        parser.add_argument(
            "--ahead",
            type=int,
            default=settings.PARTITION_MONTHS_AHEAD,
            help="make: how many months",
        )
        parser.add_argument(
            "--keep", type=int, default=13, help="detach: how many of the newest months stay"
        )
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it. Raises CommandError with what is in the way."""
        now = clock.now()
        act, table = options["act"], options["table"]
        if act in ("detach", "attach", "rescue") and not table:
            raise CommandError(f"{act} needs the name of a table; list shows them.")
        try:
            if act == "list":
                result = self._list()
            elif act == "make":
                result = {"made": partitions.make_ahead(now=now, months=options["ahead"])}
            elif act == "rescue":
                result = {"moved": partitions.rescue(table)}
            elif act == "detach":
                month = _month(options["month"])
                result = {
                    "detached": partitions.detach(
                        table, month, now=now, keep_months=options["keep"]
                    )
                }
            else:
                result = {"attached": partitions.attach(table, _month(options["month"]))}
        except partitions.PartitionError as error:
            raise CommandError(str(error)) from error
        except DatabaseError as error:
            raise CommandError(f"The database refused: {str(error).strip()}") from error
        if options["json"]:
            self.stdout.write(json.dumps({"ok": True, **result}, ensure_ascii=False))
        else:
            self._tell(result)

    def _list(self) -> dict[str, Any]:
        return {
            "tables": [
                {
                    "table": split.table,
                    "made_until": str(split.made_until()),
                    "default_bytes": split.default_size,
                    "months": [
                        {
                            "month": f"{month.first:%Y-%m}",
                            "attached": month.attached,
                            "bytes": month.size,
                            "rows_estimated": month.rows,
                        }
                        for month in split.months
                    ],
                }
                for split in partitions.list_splits()
            ]
        }

    def _tell(self, result: dict[str, Any]) -> None:
        for table in result.get("tables", []):
            stray = (
                f"; {table['default_bytes']:,} bytes outside any month"
                if table["default_bytes"]
                else ""
            )
            self.stdout.write(f"{table['table']}: made until {table['made_until']}{stray}")
            for month in table["months"]:
                if month["bytes"] > 64 * 1024 or not month["attached"]:
                    self.stdout.write(
                        f"  {month['month']}  {month['bytes']:>14,} bytes  about {month['rows_estimated']:,} rows"
                        f"{'' if month['attached'] else '  taken out'}"
                    )
        for word in ("detached", "attached"):
            if word in result:
                self.stdout.write(f"{result[word]}: {word}.")
        if "made" in result:
            self.stdout.write(f"Made: {', '.join(result['made']) or 'nothing was missing'}.")
        for child, rows in result.get("moved", {}).items():
            self.stdout.write(f"{child}: {rows:,} rows moved.")
