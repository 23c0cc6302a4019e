"""Make the demo shop."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.operations import demo
from apps.operations.demo.cast import PASSWORD, email_of
from apps.platforms import probes


class Command(BaseCommand):
    """``manage.py seed_demo [--days N] [--payments N] [--wire N] [--seed N] [--json]``.

    How far it is goes to standard error, so that ``--json`` stays JSON.
    """

    help = "Makes the demo merchant with history, through the services, and the same in the simulator's books."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Sizes of the demo; the same seed gives the same shop."""
        parser.add_argument("--days", type=int, default=60)
        parser.add_argument("--payments", type=int, default=3000)
        parser.add_argument("--wire", type=int, default=50, help="payments made over HTTP")
        parser.add_argument("--seed", type=int, default=1)
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        """Make it, or say that it is there. Raises CommandError without a simulator."""
        if missing := probes.simulator_missing():
            raise CommandError(f"The simulator at {missing} does not run: start script/server.")
        try:
            report = demo.seed(
                days=options["days"],
                count=options["payments"],
                wire=options["wire"],
                seed=options["seed"],
                say=lambda words: self.stderr.write(f"    {words}", str),
            )
        except demo.SimulatorNeeded as error:
            raise CommandError(
                "The demo shop is connected to the simulator: start one and set SIMULATOR_URL to its address."
            ) from error
        if options["json"]:
            self.stdout.write(json.dumps(report.as_dict()))
            return
        if not report.made:
            self.stdout.write("The demo merchant is there already.")
            return
        self.stdout.write(
            f"Demo merchant made in {report.seconds} s: {report.payments} payments,"
            f" {report.over_the_wire} of today's over HTTP, {report.outside} at a POS device, {report.differences} differences"
            f" planted, {report.days_closed} days closed."
        )
        self.stdout.write(
            f"Log in as {email_of('owner')} (or manager, finance, cashier, auditor): {PASSWORD}"
        )
