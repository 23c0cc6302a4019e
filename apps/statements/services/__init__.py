"""Writes of this room: bills fetched, asked together or uploaded, their files handed out, column maps."""

from apps.statements.services.columns import ColumnsRefused, set_columns, try_columns
from apps.statements.services.fetching import (
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
    too_large_sentence,
)
from apps.statements.services.schedule import GIVE_UP, next_try, ready_at

__all__ = [
    "GIVE_UP",
    "MAX_BYTES",
    "ColumnsRefused",
    "FetchResult",
    "FileGone",
    "StatementRefused",
    "expect_day",
    "fetch_now",
    "fetch_statement",
    "import_statement",
    "next_try",
    "plan_yesterday",
    "read_file",
    "ready_at",
    "refuse_unfinished",
    "set_columns",
    "too_large_sentence",
    "try_columns",
    "try_fetch",
]
