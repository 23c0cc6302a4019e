"""What a pooled connection goes through before it serves somebody else."""

from __future__ import annotations

from typing import Any

import psycopg
from django.utils.module_loading import import_string


def reset_session(connection: psycopg.Connection[Any]) -> None:
    """Hand the connection to ``apps.core.tenancy.reset_connection``.

    Settings name this function before models can be imported, hence the look-up by name at the first use.
    """
    import_string("apps.core.tenancy.reset_connection")(connection)
