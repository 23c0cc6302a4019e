"""Alipay OpenAPI (gateway, RSA2) for a merchant's own application, in key mode or in certificate mode."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, time, timedelta
from typing import IO, ClassVar
from urllib.parse import urlencode, urlsplit

from apps.core.clock import CHINA
from apps.platforms import certificates, fields, http, rsa
from apps.platforms.connectors.alipay import client, signing, statement, wire
from apps.platforms.connectors.alipay.base import AlipayEndpoints
from apps.platforms.connectors.alipay.payments import PaymentCalls
from apps.platforms.connectors.alipay.refunds import RefundCalls
from apps.platforms.gateway import (
    Ack,
    BillReader,
    Capability,
    CheckState,
    CredentialCheck,
    Credentials,
    InvalidSignature,
    MalformedMessage,
    Notification,
    OrderNotFound,
    PlatformRejected,
    PlatformUnavailable,
    RawNotification,
    StatementEmpty,
    StatementFile,
    StatementKind,
    StatementMissing,
)

__all__ = ["AlipayEndpoints", "AlipayGateway"]

_AT_FAULT = {
    "bad_key": "private_key",
    "isv.app-cert-sn-not-matched": "app_certificate",
    "isv.invalid-app-cert-sn": "app_certificate",
    "isv.missing-app-cert-sn": "app_certificate",
    "isv.invalid-signature": "private_key",
    "isv.missing-signature": "private_key",
    "isv.invalid-signature-type": "private_key",
    "isv.missing-signature-config": "private_key",
    "isv.invalid-app-id": "app_id",
    "isv.missing-app-id": "app_id",
    "isv.insufficient-isv-permissions": "app_id",
    "isv.insufficient-user-permissions": "app_id",
    "ACQ.ACCESS_FORBIDDEN": "app_id",
    "ACQ.PARTNER_ERROR": "merchant_no",
}
_BILL_TYPES = {StatementKind.TRADE: "trade", StatementKind.FUND: "signcustomer"}
#: Before this hour (Beijing) of the next day a missing bill is late rather than empty.
_BILLS_READY = time(10)


class AlipayGateway(PaymentCalls, RefundCalls):
    """One merchant's access to Alipay.

    IN_APP without a payer id sends the payer to the same cashier page as BROWSER, which works inside the wallet as well.
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
            Capability.PAYER_IDENTITY,
            Capability.RENEWAL,
            Capability.TRADE_STATEMENT,
            Capability.FUND_STATEMENT,
        }
    )

    # Notifications

    def parse_notification(self, raw: RawNotification) -> Notification:
        try:
            received, charset = signing.read_form(raw.body)
        except signing.Unreadable as error:
            raise MalformedMessage(str(error)) from error
        try:
            self._client.verify_form(received, charset, received_at=raw.received_at)
        except signing.SignatureRefused as error:
            raise InvalidSignature(str(error)) from error
        return wire.notification(received, self._ours)

    def acknowledge(self, *, accepted: bool, reason: str = "") -> Ack:
        # Exactly these seven bytes stop the repeats; the reason has nowhere to go.
        return Ack(
            status=200,
            content_type="text/plain; charset=utf-8",
            body=b"success" if accepted else b"fail",
        )

    # Statements

    def fetch_statement(self, *, business_date: date, kind: StatementKind) -> StatementFile:
        biz = {"bill_type": _BILL_TYPES[kind], "bill_date": business_date.isoformat()}
        try:
            answer = self._client.call("alipay.data.dataservice.bill.downloadurl.query", biz)
        except PlatformRejected as refusal:
            # The spelling of the code's prefix differs between documents.
            if "bill_not_exist" not in refusal.code.lower():
                raise
            ready_at = datetime.combine(
                business_date + timedelta(days=1), _BILLS_READY, tzinfo=CHINA
            )
            if self._clock() < ready_at:
                raise StatementMissing(refusal.message, code=refusal.code) from refusal
            raise StatementEmpty(business_date.isoformat()) from refusal
        with http.ReadingAnswer():
            url = fields.text(answer, "bill_download_url")
            if urlsplit(url).scheme not in {"https", "http"}:
                raise MalformedMessage("the download address is unusable")
        file = self._http.send("GET", url, limit=http.MAX_FILE, patience=http.FILE_PATIENCE)
        if file.status != 200:
            # The address lives for thirty seconds: the next try begins anew.
            raise http.unavailable(file)
        if not file.body.startswith(b"PK"):
            # Past its time the address answers with a page in place of the file.
            raise PlatformUnavailable("no bill file came", code="bad_file")
        return StatementFile(
            filename=f"{self._ours.merchant_no}_{business_date:%Y%m%d}_{kind}.zip",
            content=file.body,
        )

    def open_statement(
        self, content: bytes | IO[bytes], *, business_date: date, kind: StatementKind
    ) -> BillReader:
        return statement.Reader(
            content, merchant_no=self._ours.merchant_no, business_date=business_date, kind=kind
        )

    # Credentials and identity

    def check_credentials(self) -> CredentialCheck:
        fault = self._own_fault()
        if fault is not None:
            return fault
        try:
            self._client.call("alipay.trade.query", self._impossible())
        except OrderNotFound:
            return CredentialCheck(state=CheckState.GOOD)
        except (PlatformRejected, PlatformUnavailable) as error:
            return self._verdict(error)
        return CredentialCheck(state=CheckState.GOOD)

    def _own_fault(self) -> CredentialCheck | None:
        """A certificate that cannot be read, which needs no call to be found."""
        names = ("app_certificate", "alipay_certificate", "alipay_root_certificate")
        for name in names if self._client.by_certificate else ():
            try:
                certificates.load_all(self._ours.keys.get(name, ""))
            except rsa.UnusableKey as error:
                return CredentialCheck(
                    state=CheckState.BAD, code=f"certificate_{error.reason}", field=name
                )
        return None

    def _verdict(self, error: PlatformRejected | PlatformUnavailable) -> CredentialCheck:
        """What a refused or unusable answer says about the credentials."""
        code = error.code
        field = _AT_FAULT.get(code, "")
        if code == "bad_signature":
            field = "alipay_public_key"
            if self._client.by_certificate:
                chain = error.message.endswith(": chain")
                field = "alipay_root_certificate" if chain else "alipay_certificate"
        bad = isinstance(error, PlatformRejected) or bool(field) or "timestamp" in code
        return CredentialCheck(
            state=CheckState.BAD if bad else CheckState.UNREACHABLE,
            code=code,
            message=error.message,
            field=field if bad else "",
        )

    def renew_credentials(self) -> Credentials | None:
        """With the certificate that Alipay signs with by now, if it is not stored; those past their time are dropped.

        None in key mode: keys are never changed by the platform.
        """
        if not self._client.by_certificate:
            return None
        signer = self._client.signer("alipay.trade.query", self._impossible())
        held = client.stored_certificates(self._ours.keys)
        if signer is None or signer in held:
            return None
        now = self._clock()
        kept = [one for one in held if one.not_valid_after_utc > now]
        keys = {**self._ours.keys, "alipay_certificate": certificates.pem_of([*kept, signer])}
        return replace(self._ours, keys=keys)

    def _impossible(self) -> dict[str, str]:
        """A question about a trade that cannot be: the one good answer is "no such trade", signed by the platform."""
        return {"out_trade_no": f"check{self._nonce()[:24]}"}

    def authorize_url(self, *, redirect_uri: str, state: str) -> str:
        query = urlencode(
            {
                "app_id": self._ours.app_id,
                "scope": "auth_base",
                "redirect_uri": redirect_uri,
                "state": state,
            }
        )
        return f"{self._endpoints.oauth_authorize_url}?{query}"

    def payer_id_from_code(self, *, code: str) -> str:
        answer = self._client.call(
            "alipay.system.oauth.token", None, grant_type="authorization_code", code=code
        )
        payer = fields.optional(answer, "user_id") or fields.optional(answer, "open_id")
        if not payer:
            raise PlatformUnavailable("the answer names no payer", code="bad_answer")
        return payer
