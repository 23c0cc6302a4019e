"""Rights of the application's database role."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import ProgrammingError, transaction

from apps.operations.privileges import grant_role


class Command(BaseCommand):
    """``manage.py grant_role NAME``, run with the owner's DATABASE_URL after ``migrate``."""

    help = "Gives the application's database role the rights it needs and no others."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """The role's name."""
        parser.add_argument("name")

    def handle(self, *args: Any, **options: Any) -> None:
        """Grant. Raises CommandError for a role that does not exist."""
        try:
            with transaction.atomic():
                guarded = grant_role(options["name"])
        except ProgrammingError as error:
            raise CommandError(str(error).strip()) from error
        self.stdout.write(
            f"{options['name']} may read and write; append-only for it: {', '.join(guarded)}."
        )
