"""The engine itself; Django looks for the name ``DatabaseWrapper`` here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.db.backends.postgresql.base import DatabaseWrapper as PostgresWrapper
from django.db.utils import OperationalError
from typing_extensions import override

from apps.core.postgres import binaries, keeper
from apps.core.postgres.engine.client import DatabaseClient


class DatabaseWrapper(PostgresWrapper):
    """A PostgreSQL connection. With ``EMBEDDED`` in its settings the server is started on the way.

    Nothing starts before a connection is really wanted, so ``check``, ``makemessages`` and type checkers start none.
    """

    client_class = DatabaseClient

    @override
    def get_connection_params(self) -> dict[str, Any]:
        """Parameters for psycopg. Raises OperationalError when the embedded server does not start."""
        embedded = self.settings_dict.get("EMBEDDED")
        if embedded:
            try:
                keeper.attach(Path(embedded["folder"]), durable=embedded["durable"])
            except (keeper.KeeperError, binaries.NoBinaries) as error:
                raise OperationalError(str(error)) from error
        return super().get_connection_params()
