"""Files of what the portal shows."""

from apps.reports.services.closed_days import kept_export, kept_ledger
from apps.reports.services.day_report import render_report
from apps.reports.services.differences import export_differences, sum_differences
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
    count_postings,
    export_ledger,
    export_trial_balance,
    month_until,
    record_books_download,
)
from apps.reports.services.watching import WATCH, plan_watching, watch_codes
from apps.reports.services.workbooks import (
    MAX_ROWS as MAX_WORKBOOK_ROWS,
)
from apps.reports.services.workbooks import (
    TooManyRows,
    export_workbook,
    read_pieces,
)

__all__ = [
    "ENCODINGS",
    "ENDINGS",
    "FORMATS",
    "HEADERS",
    "MAX_WORKBOOK_ROWS",
    "WATCH",
    "TooManyRows",
    "books_file_name",
    "count_entries",
    "count_postings",
    "export_differences",
    "export_ledger",
    "export_summary",
    "export_transactions",
    "export_trial_balance",
    "export_workbook",
    "file_name",
    "kept_export",
    "kept_ledger",
    "month_until",
    "plan_watching",
    "read_pieces",
    "record_books_download",
    "record_download",
    "render_report",
    "sum_differences",
    "watch_codes",
]
