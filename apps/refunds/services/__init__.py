"""Asking for refunds under the rules, writing those, sending them, applying what the platforms say, giving back what was paid twice."""

from apps.refunds.services.accepting import take_back_refund
from apps.refunds.services.applying import apply_refund_result
from apps.refunds.services.batch_running import run_batch
from apps.refunds.services.batches import (
    BatchChanged,
    NothingChosen,
    NotNow,
    cancel_batch,
    pause_batch,
    release_batch,
    resume_batch,
    retry_batch,
    start_batch,
    void_batch,
)
from apps.refunds.services.duplicates import refund_duplicate
from apps.refunds.services.outside import (
    book_outside_refunds,
    hold_payments,
    weigh_outside_refunds,
)
from apps.refunds.services.polling import poll_refund, refresh_refund
from apps.refunds.services.requesting import (
    NotRefundable,
    OverRefund,
    PastLimits,
    cancel_refund,
    release_refund,
    request_refund,
    void_refund,
)
from apps.refunds.services.requests import (
    NotAskable,
    NotOpen,
    RefusedByRules,
    accept_request,
    ask_for_refund,
    decline_request,
    forget_contact,
    set_request_terms,
    withdraw_request,
)
from apps.refunds.services.rounds import poll_refunds
from apps.refunds.services.rules import (
    ChangedMeanwhile,
    NotPublishable,
    drop_draft,
    publish_draft,
    release_rules,
    set_rule,
    void_rules,
    write_draft,
)
from apps.refunds.services.sending import send_refund

__all__ = [
    "BatchChanged",
    "ChangedMeanwhile",
    "NotAskable",
    "NotNow",
    "NotOpen",
    "NotPublishable",
    "NotRefundable",
    "NothingChosen",
    "OverRefund",
    "PastLimits",
    "RefusedByRules",
    "accept_request",
    "apply_refund_result",
    "ask_for_refund",
    "book_outside_refunds",
    "cancel_batch",
    "cancel_refund",
    "decline_request",
    "drop_draft",
    "forget_contact",
    "hold_payments",
    "pause_batch",
    "poll_refund",
    "poll_refunds",
    "publish_draft",
    "refresh_refund",
    "refund_duplicate",
    "release_batch",
    "release_refund",
    "release_rules",
    "request_refund",
    "resume_batch",
    "retry_batch",
    "run_batch",
    "send_refund",
    "set_request_terms",
    "set_rule",
    "start_batch",
    "take_back_refund",
    "void_batch",
    "void_refund",
    "void_rules",
    "weigh_outside_refunds",
    "withdraw_request",
    "write_draft",
]
