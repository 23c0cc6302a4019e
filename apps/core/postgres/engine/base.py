"""The engine itself; Django looks for the name ``DatabaseWrapper`` here."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, ClassVar

import psycopg
from django.db.backends.postgresql.base import DatabaseWrapper as PostgresWrapper
from django.db.backends.postgresql.operations import DatabaseOperations as PostgresOperations
from django.db.utils import OperationalError
from typing_extensions import override

from apps.core.postgres import binaries, keeper
from apps.core.postgres.engine.client import DatabaseClient

#: Seconds for which a web process, which takes a connection of its pool for each request, trusts that the server runs.
_TRUST = 1.0


class DatabaseOperations(PostgresOperations):
    """What Django's query log shows of a statement."""

    @override
    def last_executed_query(self, cursor: Any, sql: Any, params: Any) -> str:
        """The statement with its values, which those of ``apps.core.sql`` do not contain when they are sent."""
        if isinstance(cursor, psycopg.ClientCursor):
            return super().last_executed_query(cursor, sql, params)
        try:
            return str(self.compose_sql(sql, params))
        except psycopg.DataError:
            # Values that no statement can hold: whoever ran it is told.
            return str(sql)


class DatabaseWrapper(PostgresWrapper):
    """A PostgreSQL connection. With ``EMBEDDED`` in its settings the server is started on the way.

    Nothing starts before a connection is really wanted, so ``check``, ``makemessages`` and type checkers start none.
    """

    client_class = DatabaseClient
    ops_class = DatabaseOperations

    #: Whether the session may stand in a merchant's scope. ``apps.core.tenancy`` writes it, and nothing else sets a scope.
    in_scope = False
    #: When the server of a folder was last seen to run.
    _seen: ClassVar[dict[str, float]] = {}

    @override
    def get_connection_params(self) -> dict[str, Any]:
        """Parameters for psycopg. Raises OperationalError when the embedded server does not start."""
        embedded = self.settings_dict.get("EMBEDDED")
        if embedded:
            self._attach(embedded)
        return super().get_connection_params()

    def _attach(self, embedded: dict[str, Any]) -> None:
        folder, now = embedded["folder"], time.monotonic()
        pooled = self.settings_dict["OPTIONS"].get("pool")
        if pooled and now < self._seen.get(folder, now - _TRUST) + _TRUST:
            return
        try:
            keeper.attach(Path(folder), durable=embedded["durable"])
        except (keeper.KeeperError, binaries.NoBinaries) as error:
            raise OperationalError(str(error)) from error
        self._seen[folder] = now

    def _close(self) -> None:
        """Nobody gets a pooled connection that stands in a merchant's scope: session settings outlive ``close()``.

        Here and not in the pool's ``reset``, for which every connection, though nearly all come back clean, would go through
        another thread.
        """
        if self.in_scope and self.connection is not None and self.pool:
            self._leave_scope(self.connection)
        self.in_scope = False
        super()._close()  # type: ignore[misc]  # the stubs leave it out

    @staticmethod
    def _leave_scope(connection: psycopg.Connection[Any]) -> None:
        try:
            connection.rollback()
            connection.execute("SELECT set_config('app.merchant_id', '', false)")
            connection.commit()
        except psycopg.Error:
            # The pool throws away what is closed.
            connection.close()
