"""The pages of this room."""

from apps.reports.views.adviser import adviser
from apps.reports.views.code_statistics import code_statistics, codes_statistics
from apps.reports.views.dashboard import dashboard
from apps.reports.views.exports import (
    export,
    export_ledger,
    export_summary,
    export_transactions,
    export_workbook,
)
from apps.reports.views.orders import order_close, order_detail, payment_refresh
from apps.reports.views.transactions import transaction_list, transaction_sums

__all__ = [
    "adviser",
    "code_statistics",
    "codes_statistics",
    "dashboard",
    "export",
    "export_ledger",
    "export_summary",
    "export_transactions",
    "export_workbook",
    "order_close",
    "order_detail",
    "payment_refresh",
    "transaction_list",
    "transaction_sums",
]
