"""Asking for refunds under the rule, sending them, applying what the platforms say, giving back what was paid twice."""

from apps.refunds.services.applying import apply_refund_result
from apps.refunds.services.duplicates import refund_duplicate
from apps.refunds.services.polling import poll_refund, refresh_refund
from apps.refunds.services.requesting import (
    NotRefundable,
    OverRefund,
    cancel_refund,
    release_refund,
    request_refund,
    void_refund,
)
from apps.refunds.services.rounds import poll_refunds
from apps.refunds.services.rules import set_rule
from apps.refunds.services.sending import send_refund

__all__ = [
    "NotRefundable",
    "OverRefund",
    "apply_refund_result",
    "cancel_refund",
    "poll_refund",
    "poll_refunds",
    "refresh_refund",
    "refund_duplicate",
    "release_refund",
    "request_refund",
    "send_refund",
    "set_rule",
    "void_refund",
]
