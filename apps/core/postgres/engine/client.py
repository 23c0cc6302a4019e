"""``manage.py dbshell`` with the psql that belongs to the embedded server."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.db.backends.postgresql.client import DatabaseClient as PostgresClient
from typing_extensions import override

from apps.core.postgres import binaries, keeper


class DatabaseClient(PostgresClient):
    """Attaches first: ``dbshell`` reads the settings and makes no connection of its own."""

    @classmethod
    @override
    def settings_to_cmd_args_env(
        cls, settings_dict: dict[str, Any], parameters: Iterable[str]
    ) -> tuple[list[str], dict[str, str] | None]:
        """The command line of psql; for the embedded server, the wheel's own."""
        arguments, environment = super().settings_to_cmd_args_env(settings_dict, list(parameters))
        if settings_dict.get("EMBEDDED"):
            arguments[0] = binaries.program("psql")
        return arguments, environment

    @override
    def runshell(self, parameters: Iterable[str]) -> None:
        """Start the embedded server if there is one, then psql."""
        embedded = self.connection.settings_dict.get("EMBEDDED")
        if embedded:
            keeper.attach(Path(embedded["folder"]), durable=embedded["durable"])
        super().runshell(parameters)
