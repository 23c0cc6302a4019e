"""Writing the books: entries, the plan of accounts, adjustments."""

from apps.ledger.selectors.plan import PLAN
from apps.ledger.services.adjusting import (
    ADJUST_PERMISSION,
    NotReversible,
    NotWaiting,
    adjustment_digest,
    cancel_adjustment,
    hold_adjustment,
    post_adjustment,
    release_adjustment,
    reverse_adjustment,
    set_limit,
    void_adjustment,
)
from apps.ledger.services.booking import (
    Line,
    NoOpenDay,
    NotBalanced,
    account_ids,
    booking_date,
    claim_day,
    post,
)
from apps.ledger.services.bulk import Side, booking_dates, post_many
from apps.ledger.services.days import DayClosed, DayOpen, HeldDay, close_day, hold_day, open_day
from apps.ledger.services.papers import HandedIn, damaged_paper, read_paper
from apps.ledger.services.plan import AccountWords, CodeTaken, name_accounts
from apps.ledger.services.reasons import ReasonRefused, add_reason, offer_reason

__all__ = [
    "ADJUST_PERMISSION",
    "PLAN",
    "AccountWords",
    "CodeTaken",
    "DayClosed",
    "DayOpen",
    "HandedIn",
    "HeldDay",
    "Line",
    "NoOpenDay",
    "NotBalanced",
    "NotReversible",
    "NotWaiting",
    "ReasonRefused",
    "Side",
    "account_ids",
    "add_reason",
    "adjustment_digest",
    "booking_date",
    "booking_dates",
    "cancel_adjustment",
    "claim_day",
    "close_day",
    "damaged_paper",
    "hold_adjustment",
    "hold_day",
    "name_accounts",
    "offer_reason",
    "open_day",
    "post",
    "post_adjustment",
    "post_many",
    "read_paper",
    "release_adjustment",
    "reverse_adjustment",
    "set_limit",
    "void_adjustment",
]
