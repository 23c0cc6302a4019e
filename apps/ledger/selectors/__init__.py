"""Reading the books."""

from apps.ledger.selectors.accounts import AccountPage, PostingRow, get_account, page_account
from apps.ledger.selectors.adjustments import (
    AdjustmentFilters,
    current_limit,
    get_adjustment,
    has_adjustments,
    limit_history,
    lines_of,
    page_adjustments,
    reversal_of,
)
from apps.ledger.selectors.balances import (
    Balance,
    Period,
    PeriodBalance,
    TrialBalance,
    period_balances,
    trial_balance,
)
from apps.ledger.selectors.checks import (
    adjustment_without_entry,
    first_stray_posting,
    first_unbalanced,
    first_without_subject,
    trial_balance_over,
)
from apps.ledger.selectors.days import day_for, get_day, is_closed
from apps.ledger.selectors.journal import (
    EntryRow,
    JournalFilters,
    JournalPage,
    get_entry,
    has_entries,
    page_entries,
)
from apps.ledger.selectors.papers import get_paper, papers_of
from apps.ledger.selectors.plan import PlanRow, list_plan
from apps.ledger.selectors.reasons import Reason, list_reasons, reason_names, reason_words
from apps.ledger.selectors.receivables import DayMoved, held_on, moved_by_day

__all__ = [
    "AccountPage",
    "AdjustmentFilters",
    "Balance",
    "DayMoved",
    "EntryRow",
    "JournalFilters",
    "JournalPage",
    "Period",
    "PeriodBalance",
    "PlanRow",
    "PostingRow",
    "Reason",
    "TrialBalance",
    "adjustment_without_entry",
    "current_limit",
    "day_for",
    "first_stray_posting",
    "first_unbalanced",
    "first_without_subject",
    "get_account",
    "get_adjustment",
    "get_day",
    "get_entry",
    "get_paper",
    "has_adjustments",
    "has_entries",
    "held_on",
    "is_closed",
    "limit_history",
    "lines_of",
    "list_plan",
    "list_reasons",
    "moved_by_day",
    "page_account",
    "page_adjustments",
    "page_entries",
    "papers_of",
    "period_balances",
    "reason_names",
    "reason_words",
    "reversal_of",
    "trial_balance",
    "trial_balance_over",
]
