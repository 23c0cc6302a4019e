"""One polling round by hand."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.core import clock
from apps.core.tasks import drain
from apps.platforms import probes


class Command(BaseCommand):
    """``manage.py poll_payments --once [--json]``."""

    help = "Asks the platforms about every payment and refund that is due to be asked about, now and here."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """``--once`` is the only way it runs: workers poll by themselves."""
        parser.add_argument("--once", action="store_true", required=True)
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        """Poll, then say how many were asked about. Raises CommandError where a simulator is meant and none runs."""
        if missing := probes.simulator_missing():
            # Each question would count against an account that nothing is wrong with.
            raise CommandError(f"The simulator at {missing} does not run: start script/server.")
        now = clock.now()
        done = {
            task: drain(now=now, task=f"{task}.poll", limit=10_000)
            for task in ("payments", "refunds")
        }
        if options["json"]:
            self.stdout.write(json.dumps(done))
        else:
            self.stdout.write(
                f"Asked about {done['payments']} payments and {done['refunds']} refunds."
            )
