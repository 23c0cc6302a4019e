"""The words of the port: platforms, outcomes, what a platform can do, kinds of bills and their rows."""

from __future__ import annotations

from enum import StrEnum


class Platform(StrEnum):
    """The platforms the portal knows by name; ``registry`` says which have a connector."""

    WECHATPAY = "wechatpay"
    ALIPAY = "alipay"
    UNIONPAY = "unionpay"
    SHOUQIANBA = "shouqianba"


class Outcome(StrEnum):
    """Where a payment or refund stands at the platform."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CLOSED = "closed"
    UNKNOWN = "unknown"


class Product(StrEnum):
    """How the payer is led to the platform."""

    #: A page inside the wallet's own browser invokes the cashier (WeChat JSAPI).
    IN_APP = "in_app"
    #: A QR code for this one order, shown on a screen (WeChat Native, Alipay precreate).
    DYNAMIC_QR = "dynamic_qr"
    #: A phone's browser is sent to the platform's cashier page (Alipay wap.pay, WeChat H5).
    BROWSER = "browser"
    #: The cashier scans the payer's code.
    BARCODE = "barcode"


class Capability(StrEnum):
    """What a platform can do; what is missing is hidden from the pages."""

    IN_APP = "in_app"
    DYNAMIC_QR = "dynamic_qr"
    BROWSER = "browser"
    BARCODE = "barcode"
    CLOSE = "close"
    REVERSE = "reverse"
    REFUND = "refund"
    PARTIAL_REFUND = "partial_refund"
    PAYER_IDENTITY = "payer_identity"
    #: One contract takes several wallets (Shouqianba): ``CreateRequest.wallet`` must say which.
    AGGREGATES = "aggregates"
    #: Calls are made by a terminal that must be activated first and whose key changes daily.
    TERMINALS = "terminals"
    #: Keys or certificates that the platform renews: ``renew_credentials``.
    RENEWAL = "renewal"
    #: A refund to a dead card can be sent elsewhere: ``settle_abnormal_refund``.
    ABNORMAL_REFUND = "abnormal_refund"
    TRADE_STATEMENT = "trade_statement"
    FUND_STATEMENT = "fund_statement"


class StatementKind(StrEnum):
    """Trade: each payment and refund. Fund: each movement of the platform balance."""

    TRADE = "trade"
    FUND = "fund"


class LineKind(StrEnum):
    """What one statement line records."""

    PAYMENT = "payment"
    REFUND = "refund"
    #: Lines of a fund bill that are neither: fees, what went to the bank (or came back from it), what was paid in.
    FEE = "fee"
    PAYOUT = "payout"
    TOP_UP = "top_up"
    OTHER = "other"
