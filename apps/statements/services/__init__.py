"""Writes of this room: bills fetched or uploaded, and their files handed out."""

from apps.statements.services.fetching import (
    GIVE_UP,
    FetchResult,
    fetch_now,
    fetch_statement,
    plan_yesterday,
    try_fetch,
)
from apps.statements.services.importing import (
    MAX_BYTES,
    FileGone,
    StatementRefused,
    expect_day,
    import_statement,
    read_file,
    refuse_unfinished,
)

__all__ = [
    "GIVE_UP",
    "MAX_BYTES",
    "FetchResult",
    "FileGone",
    "StatementRefused",
    "expect_day",
    "fetch_now",
    "fetch_statement",
    "import_statement",
    "plan_yesterday",
    "read_file",
    "refuse_unfinished",
    "try_fetch",
]
