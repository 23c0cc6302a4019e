"""The port to a payment platform: what every connector must do, in words of ours.

Free of Django and of any one platform. Amounts are ``Money`` (integer fen), times are aware UTC, ``order_no`` and
``refund_no`` are *our* numbers. A connector translates; it never decides what a payment's state becomes.

What a failure means decides whether money can be lost, so each method keeps to three answers:

* a result with an ``Outcome`` (``UNKNOWN`` means "ask again by query", never "failed");
* ``PlatformUnavailable``: no usable answer (time-out, 5xx, bad signature, rate limit). The call may have taken effect;
* ``PlatformRejected``: the platform understood and refused. The call took no effect and repeating it unchanged is useless.
"""

from apps.platforms.gateway.bills import (
    BillReader,
    BillRow,
    ParsedStatement,
    StatementFile,
    StatementLine,
    StatementTotals,
)
from apps.platforms.gateway.failures import (
    API_V3_KEY_WRONG,
    CODE_LOST,
    REFUND_NOT_SHOWN,
    AskedTooOften,
    InvalidSignature,
    MalformedMessage,
    NotSupported,
    OrderNotFound,
    PlatformRejected,
    PlatformUnavailable,
    StatementEmpty,
    StatementMissing,
    StatementNotReady,
    StatementUnreadable,
    WrongKey,
)
from apps.platforms.gateway.limits import RefundLimits, day_after, months_later
from apps.platforms.gateway.payments import (
    AbnormalRefund,
    Ack,
    BarcodeRequest,
    CreateRequest,
    FormPost,
    Handover,
    Notification,
    NotificationKind,
    PaymentRef,
    PaymentResult,
    RawNotification,
    RefundRef,
    RefundRequest,
    RefundResult,
)
from apps.platforms.gateway.port import (
    CheckState,
    CredentialCheck,
    Credentials,
    PlatformGateway,
    TerminalKey,
)
from apps.platforms.gateway.words import (
    Capability,
    LineKind,
    Outcome,
    Platform,
    Product,
    StatementKind,
)

__all__ = [
    "API_V3_KEY_WRONG",
    "CODE_LOST",
    "REFUND_NOT_SHOWN",
    "AbnormalRefund",
    "Ack",
    "AskedTooOften",
    "BarcodeRequest",
    "BillReader",
    "BillRow",
    "Capability",
    "CheckState",
    "CreateRequest",
    "CredentialCheck",
    "Credentials",
    "FormPost",
    "Handover",
    "InvalidSignature",
    "LineKind",
    "MalformedMessage",
    "NotSupported",
    "Notification",
    "NotificationKind",
    "OrderNotFound",
    "Outcome",
    "ParsedStatement",
    "PaymentRef",
    "PaymentResult",
    "Platform",
    "PlatformGateway",
    "PlatformRejected",
    "PlatformUnavailable",
    "Product",
    "RawNotification",
    "RefundLimits",
    "RefundRef",
    "RefundRequest",
    "RefundResult",
    "StatementEmpty",
    "StatementFile",
    "StatementKind",
    "StatementLine",
    "StatementMissing",
    "StatementNotReady",
    "StatementTotals",
    "StatementUnreadable",
    "TerminalKey",
    "WrongKey",
    "day_after",
    "months_later",
]
