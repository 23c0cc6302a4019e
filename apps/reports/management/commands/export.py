"""Write the file that the export page gives."""

from __future__ import annotations

import hashlib
import json
from argparse import ArgumentParser
from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.core import clock
from apps.core.audit import Actor
from apps.core.money import Money
from apps.core.tenancy import Scope, enter_scope
from apps.ledger.selectors import Period, period_balances
from apps.merchants.models import Merchant
from apps.reconciliation.services import kept_pieces
from apps.reports import services
from apps.reports.selectors import MAX_PERIOD_DAYS, TransactionFilters, sum_transactions

#: The books have kinds of their own; the others are payments and refunds.
BOOKS = ("ledger", "trial_balance")
KINDS = ("transactions", "summary", *BOOKS)


class Command(BaseCommand):
    """``manage.py export KIND --merchant SLUG --from D --to D --format csv -o FILE [--json]``."""

    help = "Writes what the export page gives: transactions, the summary that proves them, or the books."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Days are business days (YYYY-MM-DD, China time), both included."""
        parser.add_argument("kind", choices=KINDS)
        parser.add_argument("--merchant", required=True, metavar="SLUG")
        parser.add_argument("--from", dest="date_from", required=True, type=date.fromisoformat)
        parser.add_argument("--to", dest="date_to", required=True, type=date.fromisoformat)
        parser.add_argument("--format", choices=[*services.FORMATS, "xlsx"], default="csv")
        parser.add_argument("--headers", choices=list(services.HEADERS), default="zh")
        parser.add_argument("--encoding", choices=services.ENCODINGS, default="utf-8-sig")
        parser.add_argument("-o", "--output", required=True, type=Path, metavar="FILE")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write the file in whole or not at all. Raises CommandError."""
        first, last = options["date_from"], options["date_to"]
        allowed = {"transactions": ("csv", "xlsx"), "ledger": services.FORMATS}
        if options["format"] not in allowed.get(options["kind"], ("csv",)):
            raise CommandError(f"There is no {options['kind']} for {options['format']}.")
        if last < first:
            raise CommandError("The period ends before it begins.")
        if (last - first).days >= MAX_PERIOD_DAYS:
            raise CommandError("A period may span three years at most.")
        merchant = Merchant.objects.filter(slug=options["merchant"]).first()
        if merchant is None:
            raise CommandError(f"There is no merchant named {options['merchant']}.")
        filters = TransactionFilters(
            date_from=first, date_to=last, day_starts_at=merchant.day_starts_at
        )
        with enter_scope(Scope(merchant.pk)):
            if options["kind"] in BOOKS:
                report = self._write_books(Period(first, last), options)
            else:
                report = self._write(filters, options)
        if options["json"]:
            self.stdout.write(json.dumps(report))
        elif options["kind"] in BOOKS:
            self.stdout.write(
                f"{report['file']}: {report['entries']} entries, debits ¥{report['debit_yuan']},"
                f" credits ¥{report['credit_yuan']}"
            )
        else:
            self.stdout.write(f"{report['file']}: {report['rows']} rows, net ¥{report['net_yuan']}")

    def _save(self, target: Path, pieces: Iterable[bytes]) -> tuple[int, str]:
        """Write a file in whole or not at all: its bytes and their SHA-256. Raises CommandError."""
        part = target.with_name(f"{target.name}.part")
        digest, size = hashlib.sha256(), 0
        try:
            with part.open("wb") as file:
                for piece in pieces:
                    digest.update(piece)
                    size += file.write(piece)
            part.replace(target)
        except OSError as error:
            raise CommandError(f"{target} cannot be written: {error.strerror}") from error
        finally:
            part.unlink(missing_ok=True)
        return size, digest.hexdigest()

    def _write_books(self, period: Period, options: dict[str, Any]) -> dict[str, Any]:
        now = clock.now()
        how = {"headers": options["headers"], "encoding": options["encoding"]}
        pieces: Iterable[bytes]
        if options["kind"] == "trial_balance":
            pieces = [services.export_trial_balance(period, **how)]
        else:
            kept = services.kept_ledger(period, form=options["format"], **how)
            pieces = (
                kept_pieces(kept)
                if kept
                else services.export_ledger(period, form=options["format"], now=now, **how)
            )
        size, digest = self._save(options["output"], pieces)
        services.record_books_download(
            kind=options["kind"],
            period=period,
            form=options["format"],
            actor=Actor.system("export"),
            now=now,
        )
        balances = period_balances(period)
        return {
            "kind": options["kind"],
            "merchant": options["merchant"],
            "from": str(period.first),
            "to": str(period.last),
            "format": options["format"],
            "file": str(options["output"]),
            "bytes": size,
            "sha256": digest,
            "entries": services.count_entries(period),
            "debit_yuan": Money(balances.debit).to_yuan(),
            "credit_yuan": Money(balances.credit).to_yuan(),
        }

    def _write(self, filters: TransactionFilters, options: dict[str, Any]) -> dict[str, Any]:
        now = clock.now()
        how = {"headers": options["headers"], "encoding": options["encoding"]}
        workbook = options["format"] == "xlsx"
        kept = None if workbook else services.kept_export(filters, kind=options["kind"], **how)
        pieces: Iterable[bytes]
        if workbook:
            try:
                pieces = services.read_pieces(
                    services.export_workbook(filters, headers=options["headers"], now=now)
                )
            except services.TooManyRows as many:
                raise CommandError(
                    f"A workbook holds {services.MAX_WORKBOOK_ROWS:,} rows at most, and these are {many.args[0]:,}."
                ) from many
        elif kept is not None:
            pieces = kept_pieces(kept)
        elif options["kind"] == "summary":
            pieces = iter([services.export_summary(filters, now=now, **how)])
        else:
            pieces = services.export_transactions(filters, **how)
        target: Path = options["output"]
        size, digest = self._save(target, pieces)
        services.record_download(
            kind=options["kind"], filters=filters, actor=Actor.system("export"), now=now, **how
        )
        # A closed day's file holds what is booked on it and no row that may still change.
        sums = sum_transactions(replace(filters, booked_only=kept is not None))
        return {
            "kind": options["kind"],
            "merchant": options["merchant"],
            "from": str(filters.date_from),
            "to": str(filters.date_to),
            "file": str(target),
            "bytes": size,
            "sha256": digest,
            "rows": sums.rows,
            "payment_count": sums.payment_count,
            "payment_yuan": Money(sums.payment_minor).to_yuan(),
            "refund_count": sums.refund_count,
            "refund_yuan": Money(sums.refund_minor).to_yuan(),
            "net_yuan": Money(sums.net_minor).to_yuan(),
        }
