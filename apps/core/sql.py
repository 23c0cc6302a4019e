"""Statements written by hand, for the few roads on which a request or a due task must be quick.

Django puts a query's text together anew each time, which on such a road takes longer than PostgreSQL takes to answer. Here the
text is a constant and its values travel beside it, so that a connection prepares what it is asked often (``prepare_threshold``
in the settings) and PostgreSQL plans it no more. Errors, query logs and time limits are Django's own.

Row-level security holds here as everywhere, but the manager's filter does not: a statement about a merchant's rows names the
merchant as well.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Generic, TypeVar

import psycopg
from django.core.exceptions import EmptyResultSet
from django.db import DEFAULT_DB_ALIAS, connections, models
from django.db.backends.utils import CursorWrapper

M = TypeVar("M", bound=models.Model)

Values = Sequence[Any] | Mapping[str, Any]


def run(statement: str, values: Values) -> int:
    """Run a statement; how many rows it changed."""
    with _cursor() as cursor:
        cursor.execute(statement, values)
        return int(cursor.rowcount)


def first(statement: str, values: Values) -> tuple[Any, ...] | None:
    """The first row that a statement brings, or None."""
    with _cursor() as cursor:
        cursor.execute(statement, values)
        row: tuple[Any, ...] | None = cursor.fetchone()
        return row


def every(statement: str, values: Values) -> list[tuple[Any, ...]]:
    """All rows that a statement brings."""
    with _cursor() as cursor:
        cursor.execute(statement, values)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


def counts(*rows: models.QuerySet[Any]) -> list[int]:
    """How many rows each of these querysets has, all in one statement; none where all are empty by themselves."""
    connection = connections[DEFAULT_DB_ALIAS]
    found = [0] * len(rows)
    parts: list[str] = []
    values: list[Any] = []
    places: list[int] = []
    for place, some in enumerate(rows):
        try:
            text, own = (
                some.order_by().values("pk").query.get_compiler(connection=connection).as_sql()
            )
        except EmptyResultSet:
            continue
        parts.append(f"(SELECT count(*) FROM ({text}) AS counted)")  # noqa: S608  # Django's own text
        values += own
        places.append(place)
    if parts:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {', '.join(parts)}", values)
            for place, count in zip(places, cursor.fetchone(), strict=True):
                found[place] = count
    return found


def insert_many(model: type[models.Model], rows: Sequence[Mapping[str, Any]]) -> list[int]:
    """Insert rows of a model by one statement, however many; their ids, in the rows' order.

    Every row names the same columns, with values as JSON holds them, instants and bytes besides. A column that is not named takes the
    default that the database has for it, not the model's.
    """
    if not rows:
        return []
    table = model._meta.db_table  # noqa: SLF001  # public in all but its name
    names = ", ".join(f'"{name}"' for name in rows[0])
    # Names are ours; all that comes from outside travels as one value.
    statement = (
        f'INSERT INTO "{table}" ({names}) SELECT {names} FROM'  # noqa: S608
        f' jsonb_populate_recordset(NULL::"{table}", %s::jsonb) WITH ORDINALITY ORDER BY ordinality RETURNING id'
    )
    return [one for (one,) in every(statement, [json.dumps(rows, default=_as_json)])]


def _as_json(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return f"\\x{value.hex()}"
    raise TypeError(f"{value!r} cannot be inserted")


def _cursor() -> CursorWrapper:
    connection = connections[DEFAULT_DB_ALIAS]
    connection.ensure_connection()
    # Django's own cursors write the values into the text, and such a statement cannot be prepared.
    raw: Any = psycopg.Cursor(connection.connection)
    return (
        connection.make_debug_cursor(raw)
        if connection.queries_logged
        else connection.make_cursor(raw)
    )


class Columns(Generic[M]):
    """A model's columns in a statement that brings several models' at once: ``text`` names them, ``read`` makes the instance."""

    def __init__(self, model: type[M], alias: str = "") -> None:
        fields: Sequence[Any] = model._meta.concrete_fields  # noqa: SLF001  # public in all but its name
        self._model = model
        self._names = [field.attname for field in fields]
        before = f"{alias}." if alias else ""
        self.text = ", ".join(f"{before}{field.column}" for field in fields)
        # What the database gives in another form than the model holds it in: JSON comes as text.
        self._readers = [
            (place, field.from_db_value)
            for place, field in enumerate(fields)
            if hasattr(field, "from_db_value")
        ]

    def __len__(self) -> int:
        return len(self._names)

    def read(self, values: Sequence[Any]) -> M:
        """The instance of these values, in the columns' order."""
        read = list(values)
        for place, reader in self._readers:
            read[place] = reader(read[place], None, connections[DEFAULT_DB_ALIAS])
        return self._model.from_db(DEFAULT_DB_ALIAS, self._names, read)


class Loading(Generic[M]):
    """A statement that brings instances of a model: ``{columns}`` in it stands for the model's columns."""

    def __init__(self, model: type[M], statement: str) -> None:
        self._columns = Columns(model)
        self._statement = statement.format(columns=self._columns.text)

    def first(self, values: Values) -> M | None:
        """The instance in the first row, or None."""
        row = first(self._statement, values)
        return None if row is None else self._columns.read(row)
