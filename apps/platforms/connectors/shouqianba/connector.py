"""Shouqianba (收钱吧) Web API: one contract for the codes of all wallets, called by an activated terminal."""

from __future__ import annotations

from datetime import date
from typing import IO, ClassVar

from apps.core.clock import business_period
from apps.platforms import rsa, tables
from apps.platforms.connectors.shouqianba import signing, wire
from apps.platforms.connectors.shouqianba.base import ShouqianbaEndpoints, order_in
from apps.platforms.connectors.shouqianba.client import UNHEARD
from apps.platforms.connectors.shouqianba.payments import PaymentCalls
from apps.platforms.connectors.shouqianba.refunds import RefundCalls
from apps.platforms.gateway import (
    Ack,
    BillReader,
    Capability,
    CheckState,
    CredentialCheck,
    InvalidSignature,
    Notification,
    NotSupported,
    OrderNotFound,
    PlatformRejected,
    PlatformUnavailable,
    RawNotification,
    RefundLimits,
    StatementFile,
    StatementKind,
    StatementUnreadable,
    TerminalKey,
)
from apps.platforms.terminal_keys import NO_TERMINAL, TERMINAL_LOST

__all__ = ["ShouqianbaEndpoints", "ShouqianbaGateway"]


class ShouqianbaGateway(PaymentCalls, RefundCalls):
    """One account's access to Shouqianba, by one of its terminals.

    IN_APP and BROWSER are the same page (WAP2), which works inside the wallet that is asked for and nowhere else.
    """

    capabilities: ClassVar[frozenset[Capability]] = frozenset(
        {
            Capability.IN_APP,
            Capability.DYNAMIC_QR,
            Capability.BROWSER,
            Capability.BARCODE,
            Capability.CLOSE,
            Capability.REVERSE,
            Capability.REFUND,
            Capability.PARTIAL_REFUND,
            Capability.AGGREGATES,
            Capability.TERMINALS,
        }
    )
    #: Three months (its refund interface).
    refund_limits: ClassVar[RefundLimits] = RefundLimits(months=3)
    #: A callback's: the terminal's number and the platform's signature, nothing secret.
    signature_headers: ClassVar[frozenset[str]] = frozenset({"authorization"})
    #: There is one call for both: cancelling.
    close_gives_back: ClassVar[bool] = True

    # Notifications

    def parse_notification(self, raw: RawNotification) -> Notification:
        try:
            key = rsa.load_public_key(self._ours.keys.get("public_key", ""))
            signing.verify_callback(
                key=key, authorization=raw.headers.get("authorization", ""), body=raw.body
            )
        except rsa.UnusableKey as error:
            raise InvalidSignature("our copy of the platform's key is unusable") from error
        except signing.SignatureRefused as error:
            raise InvalidSignature(error.reason) from error
        return wire.callback(wire.load(raw.body), terminals=self._terminals())

    def _terminals(self) -> frozenset[str]:
        keys = self._ours.keys
        return frozenset(f"{keys.get('terminal_sns', '')} {keys.get('terminal_sn', '')}".split())

    def acknowledge(self, *, accepted: bool, reason: str = "") -> Ack:
        # Exactly these seven bytes stop the repeats; the reason has nowhere to go.
        return Ack(
            status=200 if accepted else 403,
            content_type="text/plain; charset=utf-8",
            body=b"success" if accepted else b"fail",
        )

    # Statements

    def fetch_statement(self, *, business_date: date, kind: StatementKind) -> StatementFile:
        raise NotSupported(
            "Shouqianba has no bill to download: ask about each payment, or upload the console's export"
        )

    def open_statement(
        self, content: bytes | IO[bytes], *, business_date: date, kind: StatementKind
    ) -> BillReader:
        """Read an export of the merchant console whose columns nobody has named: by what they are usually called."""
        if kind is not StatementKind.TRADE:
            raise NotSupported("Shouqianba: fund bills")
        columns = tables.guess(tables.look(content).headings)
        if missing := sorted(tables.REQUIRED - columns.keys()):
            raise StatementUnreadable("other_format", f"no column for {', '.join(missing)}")
        return tables.Reader(
            content,
            columns=columns,
            merchant_no=self._ours.merchant_no,
            business_date=business_date,
            period=business_period(business_date),
        )

    # Credentials and identity

    def check_credentials(self) -> CredentialCheck:
        """Asks with the terminal's key. The vendor's, which only activates terminals, is not tried."""
        try:
            rsa.load_public_key(self._ours.keys.get("public_key", ""))
        except rsa.UnusableKey as error:
            return CredentialCheck(state=CheckState.BAD, code=error.reason, field="public_key")
        # Nothing can have this number, so the one good answer is "no such order".
        nobody = {"client_sn": f"check{self._nonce()}"}
        try:
            order_in(self._client.call("/upay/v2/query", nobody))
        except OrderNotFound:
            return CredentialCheck(state=CheckState.GOOD)
        except PlatformRejected as refusal:
            keyless = refusal.code in {NO_TERMINAL, TERMINAL_LOST}
            return CredentialCheck(
                state=CheckState.BAD,
                code=refusal.code,
                message=refusal.message,
                field="activation_code" if keyless else "",
            )
        except PlatformUnavailable as error:
            return CredentialCheck(
                state=CheckState.BAD if error.code in UNHEARD else CheckState.UNREACHABLE,
                code=error.code,
                message=error.message,
            )
        return CredentialCheck(state=CheckState.GOOD)

    def authorize_url(self, *, redirect_uri: str, state: str) -> str:
        raise NotSupported("Shouqianba: payer identity")

    def payer_id_from_code(self, *, code: str) -> str:
        raise NotSupported("Shouqianba: payer identity")

    # Terminals

    def activate_terminal(self, *, code: str, device_id: str, name: str) -> TerminalKey:
        """Signed with the vendor's key. A code whose answer was lost is used up all the same, where it was good for one."""
        keys = self._ours.keys
        message = {
            "app_id": self._ours.app_id,
            "code": code,
            "device_id": device_id,
            "name": wire.clean(name, 64),
        }
        return self._client.terminal(
            "/terminal/activate",
            message,
            sn=keys.get("vendor_sn", ""),
            key=keys.get("vendor_key", ""),
            hidden=code,
        )

    def check_in_terminal(self) -> TerminalKey:
        """Signed with the key in the credentials, never with another."""
        keys = self._ours.keys
        return self._client.terminal(
            "/terminal/checkin",
            {
                "terminal_sn": keys.get("terminal_sn", ""),
                "device_id": keys.get("device_id", ""),
            },
            sn=keys.get("terminal_sn", ""),
            key=keys.get("terminal_key", ""),
        )
