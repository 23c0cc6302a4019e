"""Opening orders, handing payers over, and applying what the platforms say."""

from apps.payments.services.applying import ResultMismatch, apply_payment_result
from apps.payments.services.ordering import (
    AmountOutOfRange,
    HandoverFailed,
    OrderNotPayable,
    close_order,
    hand_over,
    open_order,
    prepare_payment,
    start_payment,
)
from apps.payments.services.polling import expire_order, poll_delay, poll_payment, refresh_payment

__all__ = [
    "AmountOutOfRange",
    "HandoverFailed",
    "OrderNotPayable",
    "ResultMismatch",
    "apply_payment_result",
    "close_order",
    "expire_order",
    "hand_over",
    "open_order",
    "poll_delay",
    "poll_payment",
    "prepare_payment",
    "refresh_payment",
    "start_payment",
]
