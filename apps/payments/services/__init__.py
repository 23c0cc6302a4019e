"""Opening orders, handing payers over, charging payers' codes, asking, and applying what the platforms say."""

from apps.payments.services.accepting import NotTakenBack, take_back_payment
from apps.payments.services.applying import (
    TAKEN_BACK,
    ResultMismatch,
    apply_payment_result,
    apply_to_payment,
    entry_kind,
)
from apps.payments.services.charging import BarcodeRefused, charge_barcode
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
from apps.payments.services.outside import book_outside_payments
from apps.payments.services.polling import expire_order, poll_payment, refresh_payment
from apps.payments.services.rounds import poll_payments
from apps.payments.services.timing import poll_delay

__all__ = [
    "TAKEN_BACK",
    "AmountOutOfRange",
    "BarcodeRefused",
    "HandoverFailed",
    "NotTakenBack",
    "OrderNotPayable",
    "ResultMismatch",
    "apply_payment_result",
    "apply_to_payment",
    "book_outside_payments",
    "charge_barcode",
    "close_order",
    "entry_kind",
    "expire_order",
    "hand_over",
    "open_order",
    "poll_delay",
    "poll_payment",
    "poll_payments",
    "prepare_payment",
    "refresh_payment",
    "start_payment",
    "take_back_payment",
]
