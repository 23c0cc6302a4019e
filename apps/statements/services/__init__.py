"""Writes of this room: bills fetched, asked together or uploaded, column maps, settlements, bank statements, payouts."""

from apps.statements.services.banking import (
    MOST_BYTES,
    BankAccountTaken,
    BankFileRefused,
    BankImport,
    add_bank_account,
    import_bank_file,
    set_bank_columns,
    too_large_words,
    try_bank_columns,
)
from apps.statements.services.columns import ColumnsRefused, set_columns, try_columns
from apps.statements.services.fetching import (
    FetchResult,
    fetch_now,
    fetch_statement,
    plan_yesterday,
    try_fetch,
)
from apps.statements.services.importing import expect_day, import_statement
from apps.statements.services.keeping import FileGone, read_file
from apps.statements.services.linking import (
    DayClosed,
    LinkRefused,
    SumsDiffer,
    follow_bill,
    link,
    match_bank,
    take_bank_file,
    unlink,
)
from apps.statements.services.reading import (
    StatementRefused,
    max_bytes,
    refuse_unfinished,
    too_large_sentence,
)
from apps.statements.services.reserves import (
    ReserveRefused,
    run_reserve,
    set_reserve_terms,
)
from apps.statements.services.schedule import GIVE_UP, next_try, ready_at
from apps.statements.services.settling import (
    ask_to_match,
    hold_settlement,
    set_terms,
    set_workday,
    settle,
    settle_bill,
)
from apps.statements.services.uploading import (
    NotUnderWay,
    cancel_upload,
    delete_upload,
    expire_uploads,
    hand_in,
    read_upload,
    run_upload,
)
from apps.statements.services.watching import (
    WatchRefused,
    plan_watching,
    send_balance_mail,
    set_watch,
    watch_balance,
)

__all__ = [
    "GIVE_UP",
    "MOST_BYTES",
    "BankAccountTaken",
    "BankFileRefused",
    "BankImport",
    "ColumnsRefused",
    "DayClosed",
    "FetchResult",
    "FileGone",
    "LinkRefused",
    "NotUnderWay",
    "ReserveRefused",
    "StatementRefused",
    "SumsDiffer",
    "WatchRefused",
    "add_bank_account",
    "ask_to_match",
    "cancel_upload",
    "delete_upload",
    "expect_day",
    "expire_uploads",
    "fetch_now",
    "fetch_statement",
    "follow_bill",
    "hand_in",
    "hold_settlement",
    "import_bank_file",
    "import_statement",
    "link",
    "match_bank",
    "max_bytes",
    "next_try",
    "plan_watching",
    "plan_yesterday",
    "read_file",
    "read_upload",
    "ready_at",
    "refuse_unfinished",
    "run_reserve",
    "run_upload",
    "send_balance_mail",
    "set_bank_columns",
    "set_columns",
    "set_reserve_terms",
    "set_terms",
    "set_watch",
    "set_workday",
    "settle",
    "settle_bill",
    "take_bank_file",
    "too_large_sentence",
    "too_large_words",
    "try_bank_columns",
    "try_columns",
    "try_fetch",
    "unlink",
    "watch_balance",
]
