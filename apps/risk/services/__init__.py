"""Writes of this room: alerts, verdicts, rules and reviews."""

from apps.risk.services.alerts import (
    NotOpenAnyMore,
    Raised,
    freeze_alerted_code,
    handle_alert,
    raise_alerts,
)
from apps.risk.services.assessing import Verdict, assess
from apps.risk.services.books import (
    PERMISSION,
    InThePast,
    RulesChanged,
    change_rules,
    draft_digest,
    draft_lapsed,
    hold_books,
    release_draft,
    void_draft,
    withdraw_draft,
)
from apps.risk.services.holding import (
    AlreadyAnswered,
    answer_hold,
    confirm_by_payer,
    leave_hold,
)
from apps.risk.services.reviews import ReviewRefused, review_risk
from apps.risk.services.taking import TillVerdict, assess_taking

__all__ = [
    "PERMISSION",
    "AlreadyAnswered",
    "InThePast",
    "NotOpenAnyMore",
    "Raised",
    "ReviewRefused",
    "RulesChanged",
    "TillVerdict",
    "Verdict",
    "answer_hold",
    "assess",
    "assess_taking",
    "change_rules",
    "confirm_by_payer",
    "draft_digest",
    "draft_lapsed",
    "freeze_alerted_code",
    "handle_alert",
    "hold_books",
    "leave_hold",
    "raise_alerts",
    "release_draft",
    "review_risk",
    "void_draft",
    "withdraw_draft",
]
