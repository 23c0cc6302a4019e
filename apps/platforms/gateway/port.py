"""The port itself: one platform, for one set of credentials."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import Enum
from typing import IO, ClassVar

from apps.platforms.gateway.bills import BillReader, ParsedStatement, StatementFile
from apps.platforms.gateway.failures import (
    NotSupported,
)
from apps.platforms.gateway.limits import RefundLimits
from apps.platforms.gateway.payments import (
    AbnormalRefund,
    Ack,
    BarcodeRequest,
    CreateRequest,
    Handover,
    Notification,
    PaymentRef,
    PaymentResult,
    RawNotification,
    RefundRef,
    RefundRequest,
    RefundResult,
)
from apps.platforms.gateway.words import Capability, Platform, StatementKind


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
class TerminalKey:
    """What a terminal signs with (Shouqianba). The key changes at every check-in."""

    terminal_sn: str
    terminal_key: str = field(repr=False)


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
    #: By what refunds of one payment are taken; see ``platforms.refunding`` for the agreement's part.
    refund_limits: ClassVar[RefundLimits] = RefundLimits()
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
    def open_statement(
        self, content: bytes | IO[bytes], *, business_date: date, kind: StatementKind
    ) -> BillReader:
        """Start reading a bill as downloaded (plain, gzip, zip; any encoding the platform uses).

        ``content``: bytes, or a file that can be read again from its beginning. Raises StatementUnreadable.
        """

    def parse_statement(
        self, content: bytes, *, business_date: date, kind: StatementKind
    ) -> ParsedStatement:
        """Read a small bill whole. Raises StatementUnreadable."""
        return self.open_statement(content, business_date=business_date, kind=kind).parsed()

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
