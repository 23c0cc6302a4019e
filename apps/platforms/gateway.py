"""The port to a payment platform: what every connector must do, in words of ours.

Free of Django and of any one platform. Amounts are ``Money`` (integer fen), times are aware UTC, ``order_no`` and
``refund_no`` are *our* numbers. A connector translates; it never decides what a payment's state becomes.

What a failure means decides whether money can be lost, so each method keeps to three answers:

* a result with an ``Outcome`` (``UNKNOWN`` means "ask again by query", never "failed");
* ``PlatformUnavailable``: no usable answer (time-out, 5xx, bad signature, rate limit). The call may have taken effect;
* ``PlatformRejected``: the platform understood and refused. The call took no effect and repeating it unchanged is useless.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import Enum, StrEnum
from typing import Any, ClassVar

from apps.core.money import Money


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
    #: Lines of a fund bill that are neither: fees, withdrawals, top-ups.
    FEE = "fee"
    OTHER = "other"


class PlatformUnavailable(Exception):
    """No usable answer: the call may have taken effect. Ask by query before doing anything else.

    ``message`` is for the person; ``code`` is the platform's, or ``"timeout"``, ``"network"``, ``"http_502"``,
    ``"bad_signature"``, ``"bad_answer"``.
    """

    def __init__(self, message: str, *, code: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.code = code


class PlatformRejected(Exception):
    """The platform refused for good; ``code`` is the platform's own code, ``message`` its text (may be Chinese).

    ``retry_same`` is True where the platform asks for the same request again later (balance too low), with the same
    number.
    """

    def __init__(self, message: str, *, code: str, retry_same: bool = False) -> None:
        super().__init__(f"{code}: {message}")
        self.message = message
        self.code = code
        self.retry_same = retry_same


class OrderNotFound(PlatformRejected):
    """The platform does not know this number: never received, or (Alipay precreate) not yet scanned."""


class InvalidSignature(Exception):
    """A message claims to come from the platform and does not verify, or is too old to be trusted."""


class MalformedMessage(Exception):
    """A verified or unverifiable message that cannot be read: not JSON, a field missing, an amount that is no amount."""


#: Code of ``WrongKey`` for WeChat Pay's APIv3 key.
API_V3_KEY_WRONG = "api_v3_key_wrong"


class WrongKey(MalformedMessage):
    """A message whose signature is good does not open with the key that we hold: the key is wrong, not the message.

    ``field`` names the credential at fault, ``code`` is stable and has words in ``messages``. Never raised before the
    signature was verified.
    """

    def __init__(self, message: str, *, field: str, code: str) -> None:
        super().__init__(message)
        self.field = field
        self.code = code


class NotSupported(Exception):
    """The platform, or this connector, cannot do that; see ``capabilities``."""


class StatementNotReady(PlatformUnavailable):
    """The bill is still being made: ask again later."""


class StatementEmpty(Exception):
    """The platform says that there was nothing to bill on that day."""


class StatementUnreadable(Exception):
    """The file is not a bill of this platform, account, kind or day; says what is wrong and where.

    ``reason`` is a stable word (``"other_day"``, ``"other_account"``, ``"other_format"``, ``"truncated"``,
    ``"too_large"``, ``"bad_row"``, ``"totals"``, ``"personal_bill"``); ``line`` counts from 1 in the decoded file.
    """

    def __init__(
        self, reason: str, detail: str, *, line: int | None = None, column: str | None = None
    ) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.line = line
        self.column = column


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What one merchant holds at one platform. ``keys`` are secrets by name and never shown or logged.

    wechatpay: ``merchant_no`` = mchid, ``app_id`` = appid, keys ``private_key`` (PEM), ``serial_no`` (merchant
    certificate), ``api_v3_key`` (32 characters), ``public_key_id`` (``PUB_KEY_ID_…``), ``public_key`` (PEM),
    ``app_secret`` (for OAuth).
    alipay: ``merchant_no`` = seller's pid (2088…), ``app_id``, keys ``private_key`` (PEM or bare base64),
    ``alipay_public_key`` (PEM or bare base64).
    """

    app_id: str
    merchant_no: str
    keys: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateRequest:
    """A payment to be opened at the platform.

    ``subject`` is what the payer reads; ``payer_id`` (openid, buyer id) is needed by IN_APP; ``client_ip`` by H5;
    ``return_url`` by BROWSER. ``expires_at``: the platform must refuse payment after it.
    """

    product: Product
    order_no: str
    amount: Money
    subject: str
    expires_at: datetime
    notify_url: str
    return_url: str = ""
    payer_id: str = ""
    client_ip: str = ""
    store_ref: str = ""
    terminal_ref: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """How to hand the payer over. Exactly one of the three is set, by product.

    ``qr_content``: draw this as a QR code. ``redirect_url``: send the browser there. ``invoke``: parameters for the
    wallet's own script (WeChat ``getBrandWCPayRequest``), already signed.
    """

    product: Product
    order_no: str
    qr_content: str = ""
    redirect_url: str = ""
    invoke: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentResult:
    """What the platform says about a payment, from any road (answer, query, notification, bill).

    ``amount`` is the order's total, to be compared with ours; None when the platform does not say.
    ``payer_id`` is the platform's id of the payer (kept only as keyed hash), ``payer_masked`` a form fit to show.
    ``refunded`` is the cumulative refunded amount where the platform tells it (Alipay notifications).
    ``payload`` is for support, redacted, never read by business code.
    """

    outcome: Outcome
    order_no: str
    platform_trade_no: str | None = None
    amount: Money | None = None
    payer_id: str | None = field(default=None, repr=False)
    payer_masked: str = ""
    paid_at: datetime | None = None
    refunded: Money | None = None
    code: str = ""
    message: str = ""
    payload: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundRequest:
    """A refund of ``amount`` out of ``order_amount``; repeating it with the same ``refund_no`` is harmless."""

    order_no: str
    refund_no: str
    amount: Money
    order_amount: Money
    reason: str
    notify_url: str
    platform_trade_no: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundResult:
    """What the platform says about a refund. ``PENDING`` = accepted, money not yet returned.

    ``code`` ``"ABNORMAL"`` with outcome PENDING: the payer's card is dead, a person must act at the platform.
    """

    outcome: Outcome
    order_no: str
    refund_no: str
    platform_refund_no: str | None = None
    amount: Money | None = None
    refunded_at: datetime | None = None
    code: str = ""
    message: str = ""
    payload: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RawNotification:
    """An incoming HTTP request as received: header names lower-cased, the body's bytes untouched."""

    headers: Mapping[str, str]
    query: str
    body: bytes = field(repr=False)
    received_at: datetime


class NotificationKind(StrEnum):
    """What a notification is about."""

    PAYMENT = "payment"
    REFUND = "refund"
    #: Verified, but nothing the portal acts on.
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """A verified notification. ``dedup_key`` is equal for repeats of the same event.

    A refund told through the payment's notification (Alipay) carries both results.
    """

    kind: NotificationKind
    dedup_key: str
    payment: PaymentResult | None = None
    refund: RefundResult | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ack:
    """The exact answer the platform expects to a notification."""

    status: int
    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementFile:
    """A bill as fetched, byte for byte, after the platform's hash (if it gives one) was checked."""

    filename: str
    content: bytes = field(repr=False)
    platform_hash: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementLine:
    """One row of a bill. Amounts are positive fen; ``kind`` says the direction.

    ``fee`` is what the platform charged for a payment (positive) or gave back with a refund (negative).
    ``row`` is the line number in the decoded file, for error messages and for "show me the row".
    """

    kind: LineKind
    row: int
    order_no: str
    refund_no: str = ""
    platform_trade_no: str = ""
    platform_refund_no: str = ""
    amount: Money
    fee: Money
    occurred_at: datetime
    status: str = ""
    product: str = ""
    raw: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementTotals:
    """What the bill's own summary says, to be checked against its rows; None where the bill does not say."""

    payment_count: int | None = None
    payment_amount: Money | None = None
    refund_count: int | None = None
    refund_amount: Money | None = None
    fee: Money | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedStatement:
    """A readable bill: lines in file order, the totals it states, and columns we did not know (kept in ``raw``)."""

    kind: StatementKind
    business_date: date
    merchant_no: str
    lines: Sequence[StatementLine]
    totals: StatementTotals
    unknown_columns: tuple[str, ...] = ()


class CheckState(Enum):
    """The verdict on a set of credentials."""

    GOOD = "good"
    BAD = "bad"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialCheck:
    """The result of a live call. ``field`` names the credential at fault where it can be told, ``code`` the reason."""

    state: CheckState
    code: str = ""
    message: str = ""
    field: str = ""


class PlatformGateway(ABC):
    """One platform, for one set of credentials. Built by ``registry.gateway_for``; holds no state between calls."""

    platform: ClassVar[Platform]
    capabilities: ClassVar[frozenset[Capability]]

    @abstractmethod
    def create_payment(self, request: CreateRequest) -> Handover:
        """Open a payment. Safe to repeat unchanged. Raises PlatformUnavailable, PlatformRejected, NotSupported."""

    @abstractmethod
    def query_payment(self, *, order_no: str) -> PaymentResult:
        """The truth about a payment; safe to repeat. Raises PlatformUnavailable, OrderNotFound, PlatformRejected."""

    @abstractmethod
    async def query_payment_async(self, *, order_no: str) -> PaymentResult:
        """As ``query_payment``, for the pollers."""

    @abstractmethod
    def close_payment(self, *, order_no: str) -> PaymentResult:
        """Close an unpaid payment: CLOSED, or what a query then says (it may have been paid meanwhile).

        Raises PlatformUnavailable, PlatformRejected. An order the platform never saw counts as CLOSED.
        """

    @abstractmethod
    def refund(self, request: RefundRequest) -> RefundResult:
        """Ask for a refund, idempotent by ``refund_no``. Raises PlatformUnavailable (unknown: query), PlatformRejected."""

    @abstractmethod
    def query_refund(self, *, order_no: str, refund_no: str) -> RefundResult:
        """The truth about a refund. Raises PlatformUnavailable, OrderNotFound (not accepted: may be sent again)."""

    @abstractmethod
    async def query_refund_async(self, *, order_no: str, refund_no: str) -> RefundResult:
        """As ``query_refund``, for the pollers."""

    @abstractmethod
    def parse_notification(self, raw: RawNotification) -> Notification:
        """Verify over the raw bytes, then read. Raises InvalidSignature, WrongKey, MalformedMessage."""

    @abstractmethod
    def acknowledge(self, *, accepted: bool, reason: str = "") -> Ack:
        """The answer that stops (accepted) or keeps (not accepted) the platform's repeats."""

    @abstractmethod
    def fetch_statement(self, *, business_date: date, kind: StatementKind) -> StatementFile:
        """Download a bill. Raises StatementNotReady, StatementEmpty, PlatformUnavailable, PlatformRejected."""

    @abstractmethod
    def parse_statement(
        self, content: bytes, *, business_date: date, kind: StatementKind
    ) -> ParsedStatement:
        """Read a bill as downloaded (plain, gzip, zip; any encoding the platform uses). Raises StatementUnreadable."""

    @abstractmethod
    def check_credentials(self) -> CredentialCheck:
        """Prove by a harmless live call that the credentials work. Never raises for a platform's answer."""

    @abstractmethod
    def authorize_url(self, *, redirect_uri: str, state: str) -> str:
        """Where to send the payer's browser to learn who pays (silent). Raises NotSupported."""

    @abstractmethod
    def payer_id_from_code(self, *, code: str) -> str:
        """Exchange the code that came back for the payer's id. Raises PlatformUnavailable, PlatformRejected."""
