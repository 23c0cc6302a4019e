"""Match one account's day."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.core import clock
from apps.core.audit import Actor
from apps.core.doors import DoorNotFound, find_door
from apps.core.money import Money
from apps.core.tenancy import Scope, enter_scope
from apps.reconciliation.models import ReconciliationRun
from apps.reconciliation.selectors import explain, sum_types
from apps.reconciliation.services import NothingToReconcile, reconcile


class Command(BaseCommand):
    """``manage.py reconcile --account REF --date D [--json]``."""

    help = "Matches a day's bill with the books; counts and sums by difference type."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The account is named by the last part of its notification address; the day is the platform's (China time)."""
        parser.add_argument("--account", required=True, metavar="REF")
        parser.add_argument("--date", dest="day", required=True, type=date.fromisoformat)
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        """Match it. Raises CommandError when there is no bill."""
        try:
            door = find_door(kind="account", token=options["account"])
        except DoorNotFound as error:
            raise CommandError(f"There is no account {options['account']}.") from error
        try:
            with enter_scope(Scope(door.merchant_id)):
                run = reconcile(
                    account_id=door.subject_id,
                    day=options["day"],
                    run_by=None,
                    actor=Actor.system("reconcile"),
                    now=clock.now(),
                )
                report = self._report(run, account=options["account"])
        except NothingToReconcile as error:
            raise CommandError(error.message) from error
        if options["json"]:
            self.stdout.write(json.dumps(report))
            return
        self.stdout.write(
            f"{report['day']}: {report['matched_count']} rows match, bill ¥{report['bill_net_yuan']},"
            f" books ¥{report['books_net_yuan']}, gap ¥{report['gap_yuan']}"
        )
        for kind, sums in report["differences"].items():
            self.stdout.write(f"  {kind}: {sums['count']} rows, ¥{sums['gap_yuan']}")

    def _report(self, run: ReconciliationRun, *, account: str) -> dict[str, Any]:
        totals = sum_types(run)
        equation = explain(run)
        assert equation is not None  # noqa: S101  # the run was made just now
        return {
            "account": account,
            "day": run.day.isoformat(),
            "run_id": run.pk,
            "statement_id": run.statement_id,
            "matched_count": run.matched_count,
            "matched_payment_yuan": Money(run.matched_payment_minor).to_yuan(),
            "matched_refund_yuan": Money(run.matched_refund_minor).to_yuan(),
            "bill_net_yuan": Money(run.their_net_minor).to_yuan(),
            "books_net_yuan": Money(run.our_net_minor).to_yuan(),
            "gap_yuan": Money(run.their_net_minor - run.our_net_minor).to_yuan(),
            "platform_net_yuan": Money(equation.platform_net_minor).to_yuan(),
            "equation": {term.name: Money(term.amount_minor).to_yuan() for term in equation.terms},
            "difference_count": run.difference_count,
            "open_count": sum(total.open_count for total in totals),
            "differences": {
                total.type.value: {
                    "count": total.count,
                    "open": total.open_count,
                    "gap_yuan": Money(total.gap_minor).to_yuan(),
                }
                for total in totals
            },
        }
