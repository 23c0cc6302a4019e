"""Files of what the portal shows."""

from apps.reports.services.exports import (
    ENCODINGS,
    HEADERS,
    export_summary,
    export_transactions,
    file_name,
    record_download,
)

__all__ = [
    "ENCODINGS",
    "HEADERS",
    "export_summary",
    "export_transactions",
    "file_name",
    "record_download",
]
