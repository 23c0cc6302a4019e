"""Files of what the portal shows."""

from apps.reports.services.exports import (
    ENCODINGS,
    HEADERS,
    export_summary,
    export_transactions,
    file_name,
    record_download,
)
from apps.reports.services.journals import (
    ENDINGS,
    FORMATS,
    books_file_name,
    count_entries,
    export_ledger,
    export_trial_balance,
    month_until,
    record_books_download,
)

__all__ = [
    "ENCODINGS",
    "ENDINGS",
    "FORMATS",
    "HEADERS",
    "books_file_name",
    "count_entries",
    "export_ledger",
    "export_summary",
    "export_transactions",
    "export_trial_balance",
    "file_name",
    "month_until",
    "record_books_download",
    "record_download",
]
