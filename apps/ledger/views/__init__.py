"""The pages of the books."""

from apps.ledger.views.adjusting import (
    adjustment_create,
    adjustment_reverse,
    adjustment_withdraw,
)
from apps.ledger.views.adjustments import adjustment_detail, adjustment_list
from apps.ledger.views.books import account_detail, entry_detail, entry_list, trial_balance
from apps.ledger.views.plan import limit_edit, plan

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
    "plan",
    "trial_balance",
]
