"""Writing the books: entries, the plan of accounts, adjustments."""

from apps.ledger.selectors.plan import PLAN
from apps.ledger.services.adjusting import (
    ADJUST_PERMISSION,
    NotReversible,
    NotWaiting,
    adjustment_digest,
    cancel_adjustment,
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
    booking_date,
    post,
)
from apps.ledger.services.plan import AccountWords, CodeTaken, name_accounts

__all__ = [
    "ADJUST_PERMISSION",
    "PLAN",
    "AccountWords",
    "CodeTaken",
    "Line",
    "NoOpenDay",
    "NotBalanced",
    "NotReversible",
    "NotWaiting",
    "adjustment_digest",
    "booking_date",
    "cancel_adjustment",
    "name_accounts",
    "post",
    "post_adjustment",
    "release_adjustment",
    "reverse_adjustment",
    "set_limit",
    "void_adjustment",
]
