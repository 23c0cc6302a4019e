"""A database of the run's own: made and migrated before, dropped afterwards."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.db import connection

from bench.frame.result import Options, say

_APPS = Path(__file__).resolve().parents[2] / "apps"


def _schema() -> str:
    """Changes when a migration is added."""
    names = sorted(str(path.relative_to(_APPS)) for path in _APPS.glob("*/migrations/0*.py"))
    return f"{zlib.crc32('|'.join(names).encode()):08x}"


@contextmanager
def own_database(name: str, options: Options, **parts: Any) -> Iterator[bool]:
    """Work in a database of this benchmark's own; True if a kept one was found.

    With ``--keep`` it stays for the next run with the same seed, ``parts`` and schema. Processes started inside find it in
    BENCH_DATABASE.
    """
    key = "_".join(str(part) for part in (options.seed, *parts.values(), _schema()))
    database = f"bench_{name}_{key}" if options.keep else f"bench_{name}_{os.getpid()}"
    creation = connection.creation
    connection.settings_dict["TEST"]["NAME"] = database
    found = options.keep and _exists(database)
    say(f"database {database} …")
    creation.create_test_db(verbosity=0, autoclobber=True, serialize=False, keepdb=options.keep)
    os.environ["BENCH_DATABASE"] = database
    try:
        yield found
    finally:
        connection.close()
        creation.destroy_test_db("postgres", verbosity=0, keepdb=options.keep)


def _exists(database: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM pg_database WHERE datname = %s)", [database])
        exists = bool(cursor.fetchone()[0])
    connection.close()
    return exists
