"""UnionPay ACP 5.1.0 (全渠道) for a direct merchant: codes, payers' codes, the cashier page, refunds and bills.

Two levels of codes stand in an answer to a query: ``respCode`` is about the question, ``origRespCode`` about the
transaction. A transaction that UnionPay says not to know (34) may become known later, so it is never called failed.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import IO, ClassVar

from apps.core.clock import CHINA
from apps.platforms import fields, http
from apps.platforms.connectors.unionpay import signing, statement, wire
from apps.platforms.connectors.unionpay.base import UnionpayEndpoints, asked
from apps.platforms.connectors.unionpay.client import trouble
from apps.platforms.connectors.unionpay.payments import PaymentCalls
from apps.platforms.connectors.unionpay.refunds import RefundCalls
from apps.platforms.gateway import (
    Ack,
    BillReader,
    Capability,
    CheckState,
    CredentialCheck,
    InvalidSignature,
    MalformedMessage,
    Notification,
    NotSupported,
    OrderNotFound,
    PlatformRejected,
    PlatformUnavailable,
    RawNotification,
    RefundLimits,
    StatementFile,
    StatementKind,
    StatementMissing,
    StatementUnreadable,
)

__all__ = ["UnionpayEndpoints", "UnionpayGateway"]

#: The address of a day has no year, so an older day would bring a younger file.
_OLDEST_BILL = timedelta(days=300)

#: Which credential to look at, by the platform's code or ours.
_AT_FAULT = {
    "11": "certificate",
    "31": "merchant_no",
    "32": "merchant_no",
    "bad_key": "certificate",
}
#: What our own look at the certificates finds, in the words of ``SignatureRefused``.
_UNTRUSTED = {
    "chain": "certificate_chain",
    "owner": "certificate_owner",
    "expired": "certificate_expired",
}
_ALTERED = "answer_altered"


class UnionpayGateway(PaymentCalls, RefundCalls):
    """One merchant's access to UnionPay. IN_APP and BROWSER are the same cashier page, to which the browser posts a form."""

    capabilities: ClassVar[frozenset[Capability]] = frozenset(
        {
            Capability.IN_APP,
            Capability.DYNAMIC_QR,
            Capability.BROWSER,
            Capability.BARCODE,
            Capability.REVERSE,
            Capability.REFUND,
            Capability.PARTIAL_REFUND,
            Capability.TRADE_STATEMENT,
        }
    )
    #: Eleven months (its product pages). The last minutes of the settlement day are left to the refund: see ``wire``.
    refund_limits: ClassVar[RefundLimits] = RefundLimits(
        months=11, cancels_until=-wire.CANCEL_MARGIN
    )
    #: The settlement day runs from 23:00 of the day before to 23:00 (UnionPay's pages on the reconciliation file).
    bill_day_starts: ClassVar[timedelta] = timedelta(hours=-1)

    # Notifications

    def parse_notification(self, raw: RawNotification) -> Notification:
        # What stands in the address was not signed by anybody and is not looked at.
        try:
            message, charset = signing.read_form(raw.body)
        except signing.Unreadable as error:
            raise MalformedMessage(str(error)) from error
        try:
            self._client.verify(message, now=raw.received_at, charset=charset)
        except signing.SignatureRefused as error:
            raise InvalidSignature(error.reason) from error
        return wire.notification(message, self._ours)

    def acknowledge(self, *, accepted: bool, reason: str = "") -> Ack:
        # Only the status counts.
        return Ack(
            status=200 if accepted else 400,
            content_type="text/plain; charset=utf-8",
            body=b"ok" if accepted else b"fail",
        )

    # Statements

    def fetch_statement(self, *, business_date: date, kind: StatementKind) -> StatementFile:
        """The bill of a settlement day, 23:00 to 23:00, as the zip that UnionPay made."""
        if kind is not StatementKind.TRADE:
            raise NotSupported("UnionPay: fund bills")
        now = self._clock()
        if now.astimezone(CHINA).date() - business_date > _OLDEST_BILL:
            raise PlatformRejected("the day is too long ago", code="bill_too_old")
        answer = self._client.call(
            self._endpoints.file_url,
            {
                "txnType": "76",
                "txnSubType": "01",
                "bizType": "000000",
                "txnTime": wire.to_beijing(now),
                "fileType": "00",
                "settleDate": f"{business_date:%m%d}",
            },
            limit=http.MAX_FILE,
            patience=http.FILE_PATIENCE,
        )
        code = answer["respCode"]
        if code == wire.NO_FILE:
            # However old the day: a file that is missing never proves a day without trade.
            raise StatementMissing(fields.optional(answer, "respMsg"), code=code)
        if code != wire.ACCEPTED:
            raise trouble(answer, refused=lambda code: code not in wire.DOUBTFUL)
        with http.ReadingAnswer():
            name = fields.text(answer, "fileName")
            packed = fields.text(answer, "fileContent")
        try:
            content = statement.inflate(packed.encode())
        except StatementUnreadable as error:
            raise PlatformUnavailable(error.detail, code="bad_file") from error
        if not content.startswith(b"PK"):
            raise PlatformUnavailable("the file is no zip", code="bad_file")
        if statement.names_other_day(name, business_date):
            raise PlatformUnavailable("the file is of another day", code="bad_file")
        return StatementFile(
            filename=f"{self._ours.merchant_no}_{business_date:%Y%m%d}_{kind}.zip", content=content
        )

    def open_statement(
        self, content: bytes | IO[bytes], *, business_date: date, kind: StatementKind
    ) -> BillReader:
        if kind is not StatementKind.TRADE:
            raise NotSupported("UnionPay: fund bills")
        return statement.Reader(
            content, merchant_no=self._ours.merchant_no, business_date=business_date
        )

    # Credentials and identity

    def check_credentials(self) -> CredentialCheck:
        fault = self._own_fault()
        if fault is not None:
            return fault
        # Nothing can have this number, so the one good answer is "no such transaction", signed by the platform.
        question = wire.query(number=f"check{self._nonce()}", began_at=self._clock())
        try:
            asked(self._client.call(self._endpoints.query_url, question))
        except OrderNotFound:
            return CredentialCheck(state=CheckState.GOOD)
        except (PlatformRejected, PlatformUnavailable) as error:
            return _verdict(error)
        return CredentialCheck(state=CheckState.GOOD)

    def _own_fault(self) -> CredentialCheck | None:
        """What needs no call to be found: a file that does not open or is out of date, certificates that do not fit."""
        keys = self._ours.keys
        root, middle = keys.get("root_certificate", ""), keys.get("middle_certificate", "")
        field = "certificate"
        try:
            signer = signing.load_signer(
                keys.get("certificate", ""), keys.get("certificate_password", "")
            )
            if not signer.valid_from <= self._clock() <= signer.valid_until:
                return _bad("own_certificate_expired", field)
            field = "root_certificate"
            signing.load_certificates(root)
            field = "middle_certificate"
            signing.load_certificates(middle)
            if not signing.chained(middle, root):
                return _bad("certificate_chain", field)
        except signing.UnusableCertificate as error:
            if error.reason == "password":
                field = "certificate_password"
            return _bad(f"certificate_{error.reason}", field)
        return None

    def authorize_url(self, *, redirect_uri: str, state: str) -> str:
        raise NotSupported("UnionPay: payer identity")

    def payer_id_from_code(self, *, code: str) -> str:
        raise NotSupported("UnionPay: payer identity")


def _bad(code: str, field: str) -> CredentialCheck:
    return CredentialCheck(state=CheckState.BAD, code=code, field=field)


def _verdict(error: PlatformRejected | PlatformUnavailable) -> CredentialCheck:
    """What a failed question says about the credentials."""
    code, words = error.code, error.message
    field = _AT_FAULT.get(code, "")
    if "certid" in words.lower():
        field = "certificate"
    elif "merid" in words.lower() or "商户" in words:
        field = "merchant_no"
    if code == "bad_signature":
        # Our own look has found the pinned certificates whole, so it is these that are not the platform's.
        reason = words.rpartition(": ")[2]
        code = _UNTRUSTED.get(reason, _ALTERED)
        field = "root_certificate" if reason == "chain" else ""
        return CredentialCheck(state=CheckState.BAD, code=code, message=words, field=field)
    bad = isinstance(error, PlatformRejected) or bool(field) or code == "clock_skew"
    return CredentialCheck(
        state=CheckState.BAD if bad else CheckState.UNREACHABLE,
        code=code,
        message=words,
        field=field if bad else "",
    )
