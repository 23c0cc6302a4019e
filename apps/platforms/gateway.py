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
from datetime import date, datetime, timedelta
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


#: Code of ``PlatformUnavailable`` for a payment that was opened by an earlier call, whose code nobody is told again.
CODE_LOST = "code_lost"


class AskedTooOften(PlatformUnavailable):
    """The platform is there, but was asked about this one thing too often: it wants to be left alone about it for a while."""


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


#: Code of ``OrderNotFound`` for a refund of which the platform tells nothing while it shows another one of the payment.
#: Accepted or not, it is sent again under its number, and the answer to that is about it.
REFUND_NOT_SHOWN = "refund_not_shown"


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


class StatementMissing(StatementNotReady):
    """The platform knows no such bill: it is late, or the day had nothing; only time tells which. Ask again later."""


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
    ``alipay_public_key`` (PEM or bare base64); in certificate mode instead of the latter ``app_certificate``,
    ``alipay_certificate`` and ``alipay_root_certificate`` (PEM).
    unionpay: ``merchant_no`` = merId, ``app_id`` = "", keys ``certificate`` (base64 of the .pfx), ``certificate_password``,
    ``root_certificate``, ``middle_certificate`` (PEM).
    shouqianba: ``merchant_no`` = the merchant's number, ``app_id``, keys ``vendor_sn``, ``vendor_key``, ``public_key`` (PEM, for
    callbacks), and, put in for each call by the account's terminal, ``terminal_sn``, ``terminal_key``, ``device_id``;
    ``terminal_sns`` are those of all the account's terminals, with spaces between.
    """

    app_id: str
    merchant_no: str
    keys: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentRef:
    """Which payment is meant.

    ``began_at`` is the moment given as ``CreateRequest.began_at`` (UnionPay knows an order by number *and* time).
    ``expires_at`` is the end told to the platform: until then an unpaid code may still be paid, whatever we wish.
    ``platform_trade_no`` is known once it was paid.
    """

    order_no: str
    began_at: datetime
    expires_at: datetime
    product: Product = Product.DYNAMIC_QR
    platform_trade_no: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundRef:
    """Which refund is meant. ``began_at`` is the moment given as ``RefundRequest.began_at``.

    ``amount`` and ``refunded_before`` (what the payment's other refunds have given back for certain; None while another
    one is under way) are for a platform that tells an order's sums rather than each refund.
    """

    order_no: str
    refund_no: str
    began_at: datetime
    platform_trade_no: str = ""
    amount: Money | None = None
    refunded_before: Money | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateRequest:
    """A payment to be opened at the platform.

    ``subject`` is what the payer reads; ``payer_id`` (openid, buyer id) is needed by IN_APP; ``client_ip`` by H5;
    ``return_url`` by BROWSER. ``began_at`` was committed before the call and stays the same for repeats.
    ``expires_at``: the platform must refuse payment after it. ``wallet``: who pays, for a platform that AGGREGATES.
    """

    product: Product
    order_no: str
    amount: Money
    subject: str
    began_at: datetime
    expires_at: datetime
    notify_url: str
    wallet: str = ""
    return_url: str = ""
    payer_id: str = ""
    client_ip: str = ""
    store_ref: str = ""
    terminal_ref: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BarcodeRequest:
    """A payment by the code on the payer's own phone (付款码).

    ``auth_code`` is good for about a minute and for one payment; it is neither stored nor logged, and a call of unknown
    outcome is followed by query, never by a second call. ``expires_at``: afterwards the payment is reversed.
    ``operator`` is who stands at the till.
    """

    order_no: str
    auth_code: str = field(repr=False)
    amount: Money
    subject: str
    began_at: datetime
    expires_at: datetime
    notify_url: str
    store_ref: str = ""
    terminal_ref: str = ""
    operator: str = ""
    client_ip: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FormPost:
    """A form that the payer's browser posts to the platform by itself (UnionPay's front transactions)."""

    url: str
    fields: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """How to hand the payer over. Exactly one of the four is set, by product.

    ``qr_content``: draw this as a QR code. ``redirect_url``: send the browser there. ``invoke``: parameters for the
    wallet's own script (WeChat ``getBrandWCPayRequest``), already signed. ``form``: let the browser post it.
    """

    product: Product
    order_no: str
    qr_content: str = ""
    redirect_url: str = ""
    invoke: Mapping[str, str] = field(default_factory=dict, repr=False)
    form: FormPost | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentResult:
    """What the platform says about a payment, from any road (answer, query, notification, bill).

    ``amount`` is the order's total, to be compared with ours; None when the platform does not say.
    ``payer_id`` is the platform's id of the payer (kept only as keyed hash), ``payer_masked`` a form fit to show.
    ``refunded`` is the cumulative refunded amount where the platform tells it (Alipay notifications).
    ``wallet`` is who paid, where a platform that AGGREGATES tells it.
    ``unseen``: CLOSED because the platform does not know the number, so nothing was given back by closing it.
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
    wallet: str = ""
    unseen: bool = False
    code: str = ""
    message: str = ""
    payload: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundRequest:
    """A refund of ``amount`` out of ``order_amount``; repeating it with the same ``refund_no`` is harmless.

    ``began_at`` is when it was first sent, committed before the call and the same for repeats. ``paid_at`` is when the
    payment was made. ``payment_began_at`` is the payment's own ``began_at``. ``refunded_before`` as in ``RefundRef``.
    ``repeated``: an earlier call may have reached the platform, so that a refusal may be the echo of its success.
    """

    order_no: str
    refund_no: str
    amount: Money
    order_amount: Money
    reason: str
    notify_url: str
    began_at: datetime
    payment_began_at: datetime
    paid_at: datetime | None = None
    platform_trade_no: str | None = None
    operator: str = ""
    refunded_before: Money | None = None
    repeated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AbnormalRefund:
    """Where to send a refund that the payer's card or wallet could not take (WeChat Pay, 异常退款).

    With ``to_payer`` the three bank fields name the payer's card, else they are empty and the money goes to the
    merchant's own account. They are encrypted on the way and never stored.
    """

    refund_no: str
    platform_refund_no: str
    to_payer: bool
    bank_type: str = ""
    bank_account: str = field(default="", repr=False)
    real_name: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class TerminalKey:
    """What a terminal signs with (Shouqianba). The key changes at every check-in."""

    terminal_sn: str
    terminal_key: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundResult:
    """What the platform says about a refund. ``PENDING`` = accepted, money not yet returned.

    ``code`` ``"ABNORMAL"`` with outcome PENDING: the payer's card is dead, a person must act at the platform.
    ``assumes``: told from the order's sums alone, on the word of ``refunded_before``, which must still be true when it is
    applied.
    """

    outcome: Outcome
    order_no: str
    refund_no: str
    platform_refund_no: str | None = None
    amount: Money | None = None
    refunded_at: datetime | None = None
    assumes: Money | None = None
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

    ``fee`` is what the platform charged for a payment (positive) or gave back with a refund (negative); where the file
    does not tell it, ``fee_known`` is False and ``fee`` is zero. ``row`` is the line number in the decoded file, for error
    messages and for "show me the row".
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
    fee_known: bool = True


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
    #: When the platform's own day begins, counted from 00:00 China time of the day it is named by.
    bill_day_starts: ClassVar[timedelta] = timedelta(0)
    #: Headers, lower-cased, that carry the signature of a notification under a name that is not the platform's own.
    signature_headers: ClassVar[frozenset[str]] = frozenset()
    #: Whether closing gives back what was paid a moment before. Every attempt is then ended by ``reverse_payment``, and what
    #: is told of a payment after that is doubted: see ``payments.services.applying``.
    close_gives_back: ClassVar[bool] = False

    @abstractmethod
    def create_payment(self, request: CreateRequest) -> Handover:
        """Open a payment. Safe to repeat unchanged. Raises PlatformUnavailable, PlatformRejected, NotSupported."""

    @abstractmethod
    def pay_barcode(self, request: BarcodeRequest) -> PaymentResult:
        """Take a payment by the payer's code: SUCCEEDED, or PENDING while the payer types a password.

        Raises PlatformRejected (nothing was taken), PlatformUnavailable (unknown: query, then reverse), NotSupported.
        """

    @abstractmethod
    def query_payment(self, ref: PaymentRef) -> PaymentResult:
        """The truth about a payment; safe to repeat. Raises PlatformUnavailable, OrderNotFound, PlatformRejected."""

    @abstractmethod
    async def query_payment_async(self, ref: PaymentRef) -> PaymentResult:
        """As ``query_payment``, for the pollers."""

    @abstractmethod
    def close_payment(self, ref: PaymentRef) -> PaymentResult:
        """Close an unpaid payment: CLOSED, or what a query then says (it may have been paid meanwhile).

        Raises PlatformUnavailable, PlatformRejected. An order the platform never saw counts as CLOSED. A platform without
        such a call answers CLOSED for what is unpaid; it may be paid all the same until ``ref.expires_at``.
        """

    @abstractmethod
    def reverse_payment(self, ref: PaymentRef) -> PaymentResult:
        """Undo a barcode payment whose outcome is unknown or that takes too long; any payment where ``close_gives_back``.

        CLOSED: nothing was taken, or it was given back. PENDING: reverse again later. Raises PlatformUnavailable,
        PlatformRejected, NotSupported.
        """

    @abstractmethod
    def refund(self, request: RefundRequest) -> RefundResult:
        """Ask for a refund, idempotent by ``refund_no``. Raises PlatformUnavailable (unknown: query), PlatformRejected."""

    @abstractmethod
    def query_refund(self, ref: RefundRef) -> RefundResult:
        """The truth about a refund. Raises PlatformUnavailable, OrderNotFound (not accepted: may be sent again)."""

    @abstractmethod
    async def query_refund_async(self, ref: RefundRef) -> RefundResult:
        """As ``query_refund``, for the pollers."""

    def settle_abnormal_refund(self, request: AbnormalRefund) -> RefundResult:
        """Send an ABNORMAL refund elsewhere. Raises NotSupported, PlatformUnavailable, PlatformRejected."""
        raise NotSupported(f"{self.platform}: abnormal refunds")

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

    def renew_credentials(self) -> Credentials | None:
        """Fresh certificates from the platform, to be stored in place of ours; None if there is nothing new.

        Raises PlatformUnavailable, PlatformRejected, NotSupported.
        """
        raise NotSupported(f"{self.platform}: renewal")

    def activate_terminal(self, *, code: str, device_id: str, name: str) -> TerminalKey:
        """Turn an activation code into a terminal, once. Raises NotSupported, PlatformUnavailable, PlatformRejected."""
        raise NotSupported(f"{self.platform}: terminals")

    def check_in_terminal(self) -> TerminalKey:
        """The terminal's key for today, asked for with the one it has; the old one dies once the new one is used.

        Raises NotSupported, PlatformUnavailable (ask again with the old key), PlatformRejected.
        """
        raise NotSupported(f"{self.platform}: terminals")
