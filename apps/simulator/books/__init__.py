"""The platforms' books: orders, payments, refunds and fees, moved by conditional UPDATEs.

Used by all platforms' APIs, the wallet and the control pages. Amounts are integer fen; ``now`` is
the simulated instant (``clock.now()``), aware UTC. Each function is its own transaction; notices are
queued in it and sent later by ``notifications``.
"""

from apps.simulator.books.errors import (
    BooksError,
    NotClosable,
    NotPayable,
    NotRefundable,
    OrderNumberUsed,
)
from apps.simulator.books.finding import (
    order_by_code,
    order_by_no,
    order_by_trade_no,
    orders_for_wallet,
    payer_id_of,
)
from apps.simulator.books.history import BadHistory, PastPayment, PastRefund, add_history
from apps.simulator.books.numbers import fee_of, new_refund_no, new_trade_no, returned_fee
from apps.simulator.books.orders import (
    REVERSAL,
    abandon_order,
    close_order,
    create_order,
    expire_due,
    fail_order,
    pay_order,
    refresh,
    replace_code,
    reverse_order,
    scan_order,
    undo_order,
    unionpay_marks,
)
from apps.simulator.books.refunds import create_refund, rescue_refund
from apps.simulator.books.settling import settle_due
from apps.simulator.books.totals import BookTotals, payments_of, refunds_of, totals_of

__all__ = [
    "REVERSAL",
    "BadHistory",
    "BookTotals",
    "BooksError",
    "NotClosable",
    "NotPayable",
    "NotRefundable",
    "OrderNumberUsed",
    "PastPayment",
    "PastRefund",
    "abandon_order",
    "add_history",
    "close_order",
    "create_order",
    "create_refund",
    "expire_due",
    "fail_order",
    "fee_of",
    "new_refund_no",
    "new_trade_no",
    "order_by_code",
    "order_by_no",
    "order_by_trade_no",
    "orders_for_wallet",
    "pay_order",
    "payer_id_of",
    "payments_of",
    "refresh",
    "refunds_of",
    "replace_code",
    "rescue_refund",
    "returned_fee",
    "reverse_order",
    "scan_order",
    "settle_due",
    "totals_of",
    "undo_order",
    "unionpay_marks",
]
