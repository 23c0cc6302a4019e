"""The pages of the books."""

from apps.ledger.views.adjusting import (
    adjustment_create,
    adjustment_reverse,
    adjustment_withdraw,
)
from apps.ledger.views.adjustments import adjustment_detail, adjustment_list, paper_download
from apps.ledger.views.books import account_detail, entry_detail, entry_list, trial_balance
from apps.ledger.views.plan import limit_edit, plan
from apps.ledger.views.reasons import reason_list, reason_offer

__all__ = [
    "account_detail",
    "adjustment_create",
    "adjustment_detail",
    "adjustment_list",
    "adjustment_reverse",
    "adjustment_withdraw",
    "entry_detail",
    "entry_list",
    "limit_edit",
    "paper_download",
    "plan",
    "reason_list",
    "reason_offer",
    "trial_balance",
]
