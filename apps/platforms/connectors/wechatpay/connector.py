"""WeChat Pay API v3 for a direct merchant, in public-key or platform-certificate mode, or on the way from one to the other."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
from collections.abc import Mapping
from datetime import date, timedelta
from typing import IO, Any, ClassVar
from urllib.parse import urlencode

from apps.platforms import fields, files, http, rsa
from apps.platforms.connectors.wechatpay import signing, statement, wire
from apps.platforms.connectors.wechatpay.base import WechatpayEndpoints
from apps.platforms.connectors.wechatpay.payments import PaymentCalls
from apps.platforms.connectors.wechatpay.refunds import RefundCalls
from apps.platforms.connectors.wechatpay.renewal import RenewalCalls
from apps.platforms.gateway import (
    API_V3_KEY_WRONG,
    Ack,
    BillReader,
    Capability,
    CheckState,
    CredentialCheck,
    InvalidSignature,
    MalformedMessage,
    Notification,
    NotificationKind,
    OrderNotFound,
    PlatformRejected,
    PlatformUnavailable,
    RawNotification,
    RefundLimits,
    StatementEmpty,
    StatementFile,
    StatementKind,
    StatementNotReady,
    StatementUnreadable,
    WrongKey,
)

__all__ = ["WechatpayEndpoints", "WechatpayGateway"]

#: Which credential to look at, by the platform's code.
_AT_FAULT = {
    "SIGN_ERROR": "private_key",
    "NO_AUTH": "merchant_no",
    "NOAUTH": "merchant_no",
    "MCH_NOT_EXISTS": "merchant_no",
    "APPID_MCHID_NOT_MATCH": "app_id",
    "APPID_NOT_EXIST": "app_id",
    "bad_key": "private_key",
    "40001": "app_secret",
    "40125": "app_secret",
    "41004": "app_secret",
}
#: The same for answers that could not be trusted, by our own codes.
_UNTRUSTED = {
    "bad_signature": "public_key",
    "unknown_serial": "public_key_id",
    "certificate_expired": "platform_certificates",
}
_BILLS = {
    StatementKind.TRADE: ("/v3/bill/tradebill", "bill_type", "ALL"),
    StatementKind.FUND: ("/v3/bill/fundflowbill", "account_type", "BASIC"),
}


class WechatpayGateway(PaymentCalls, RefundCalls, RenewalCalls):
    """One merchant's access to WeChat Pay."""

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
            Capability.ABNORMAL_REFUND,
            Capability.TRADE_STATEMENT,
            Capability.FUND_STATEMENT,
        }
    )
    #: A year to the second, fifty parts, one a minute (its refund guide).
    refund_limits: ClassVar[RefundLimits] = RefundLimits(
        days=365, parts=50, gap=timedelta(minutes=1)
    )

    # Notifications

    def parse_notification(self, raw: RawNotification) -> Notification:
        if raw.body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
            # Refunds made on the merchant platform may be told in the old way, which nothing here can verify. The query
            # and the bill tell them as well.
            raise MalformedMessage("an XML notice of the older interface (v2), not of API v3")
        try:
            keys = signing.platform_keys(self._ours.keys)
            signing.verify(headers=raw.headers, body=raw.body, keys=keys, now=raw.received_at)
        except rsa.UnusableKey as error:
            raise InvalidSignature("our copy of the platform's key is unusable") from error
        except signing.SignatureRefused as error:
            raise InvalidSignature(error.reason) from error
        envelope = wire.load(raw.body)
        event = fields.text(envelope, "event_type")
        if event != "TRANSACTION.SUCCESS" and not event.startswith("REFUND."):
            key = f"{event}:{fields.text(envelope, 'id')}"
            return Notification(kind=NotificationKind.OTHER, dedup_key=key)
        message = self._opened(envelope)
        if event == "TRANSACTION.SUCCESS":
            payment = wire.payment(message, self._ours)
            key = f"{event}:{payment.order_no}:{payment.platform_trade_no or ''}"
            return Notification(kind=NotificationKind.PAYMENT, dedup_key=key, payment=payment)
        refund = wire.refund(message, self._ours)
        key = f"{event}:{refund.refund_no}:{refund.platform_refund_no or ''}"
        return Notification(kind=NotificationKind.REFUND, dedup_key=key, refund=refund)

    def _opened(self, envelope: Mapping[str, Any]) -> dict[str, Any]:
        resource = envelope.get("resource")
        if not isinstance(resource, Mapping):
            raise MalformedMessage("resource is missing")
        if fields.text(resource, "algorithm") != "AEAD_AES_256_GCM":
            raise MalformedMessage("an unknown algorithm")
        try:
            plain = signing.decrypt(
                api_v3_key=self._ours.keys.get("api_v3_key", ""),
                nonce=fields.text(resource, "nonce"),
                associated_data=fields.optional(resource, "associated_data"),
                ciphertext=fields.text(resource, "ciphertext"),
            )
        except signing.DoesNotOpen as error:
            # The platform has signed these bytes, so it is our key that is at fault.
            raise WrongKey(
                "the notice does not open with the APIv3 key",
                field="api_v3_key",
                code=API_V3_KEY_WRONG,
            ) from error
        except ValueError as error:
            raise MalformedMessage("the sealed resource is damaged") from error
        return wire.load(plain)

    def acknowledge(self, *, accepted: bool, reason: str = "") -> Ack:
        if accepted:
            body, status = {"code": "SUCCESS", "message": "成功"}, 200
        else:
            body, status = {"code": "FAIL", "message": reason or "失败"}, 400
        return Ack(status=status, content_type="application/json", body=wire.dump(body).encode())

    # Statements

    def fetch_statement(self, *, business_date: date, kind: StatementKind) -> StatementFile:
        path, name, value = _BILLS[kind]
        query = {"bill_date": business_date.isoformat(), name: value, "tar_type": "GZIP"}
        try:
            answer = self._client.call("GET", f"{path}?{urlencode(query)}")
        except PlatformRejected as refusal:
            if refusal.code == "NO_STATEMENT_EXIST":
                raise StatementEmpty(business_date.isoformat()) from refusal
            if refusal.code == "STATEMENT_CREATING":
                raise StatementNotReady(refusal.message, code=refusal.code) from refusal
            raise
        with http.ReadingAnswer():
            url = fields.text(answer, "download_url")
            digest = fields.text(answer, "hash_value").lower()
            if fields.text(answer, "hash_type").upper() != "SHA1":
                raise MalformedMessage("an unknown hash")
        content = self._client.download(url)
        # The hash covers the bill itself, not the packed file.
        actual = hashlib.sha1(usedforsecurity=False)
        try:
            for member in files.members(content):
                with member.open() as stream:
                    while chunk := stream.read(1 << 16):
                        actual.update(chunk)
        except StatementUnreadable as error:
            raise PlatformUnavailable(error.detail, code="bad_file") from error
        if actual.hexdigest() != digest:
            raise PlatformUnavailable("the file does not match its hash", code="bad_hash")
        return StatementFile(
            filename=f"{self._ours.merchant_no}_{business_date:%Y%m%d}_{kind}.csv.gz",
            content=content,
            platform_hash=digest,
        )

    def open_statement(
        self, content: bytes | IO[bytes], *, business_date: date, kind: StatementKind
    ) -> BillReader:
        return statement.Reader(
            content, merchant_no=self._ours.merchant_no, business_date=business_date, kind=kind
        )

    # Credentials and identity

    def check_credentials(self) -> CredentialCheck:
        try:
            keys = signing.platform_keys(self._ours.keys)
        except rsa.UnusableKey as error:
            field = "public_key" if self._by_public_key else "platform_certificates"
            return CredentialCheck(state=CheckState.BAD, code=error.reason, field=field)
        if not keys:
            return CredentialCheck(state=CheckState.BAD, code="empty", field="public_key")
        # Nothing can have this number, so the one good answer is "no such order".
        order_no = f"check{secrets.token_hex(12)}"
        try:
            with contextlib.suppress(OrderNotFound):
                self._client.call("GET", self._query_target(order_no))
            self._check_answers()
            self._check_app_secret()
        except (PlatformRejected, PlatformUnavailable) as error:
            return self._verdict(error)
        return CredentialCheck(state=CheckState.GOOD)

    def _check_answers(self) -> None:
        """Have something signed by the platform: refusals carry no signature, so the first call proves one way only."""
        try:
            self._client.call("POST", "/v3/security/echo", {"echo_message": "hello"})
        except PlatformRejected:
            return
        except PlatformUnavailable as trouble:
            # Not every merchant has this call; only a signature that does not verify tells something.
            if trouble.code in _UNTRUSTED or trouble.code == "clock_skew":
                raise

    def _check_app_secret(self) -> None:
        if not self._ours.keys.get("app_secret"):
            return
        try:
            self.payer_id_from_code(code="check")
        except PlatformUnavailable:
            return
        except PlatformRejected as refusal:
            if refusal.code in {"40001", "40125", "41004", "40013"}:
                raise

    @property
    def _by_public_key(self) -> bool:
        """Whether the platform's word is known by public keys, if by certificates as well."""
        return bool(signing.public_keys(self._ours.keys))

    def _verdict(self, error: PlatformRejected | PlatformUnavailable) -> CredentialCheck:
        """What a refused or unusable answer says about the credentials."""
        code, words = error.code, error.message.lower()
        field = _AT_FAULT.get(code) or _UNTRUSTED.get(code, "")
        if code in _UNTRUSTED and not self._by_public_key:
            field = "platform_certificates"
        if code == "SIGN_ERROR" and ("序列号" in words or "serial" in words):
            field = "serial_no"
        elif code == "40013" or (isinstance(error, PlatformRejected) and "appid" in words):
            field = "app_id"
        elif code in {"SIGN_ERROR", "PARAM_ERROR", "INVALID_REQUEST"} and (
            "商户号" in words or "mchid" in words
        ):
            field = "merchant_no"
        # Our clock is off: no credential is to blame, and none can be tried until it is right.
        bad = isinstance(error, PlatformRejected) or bool(field) or code == "clock_skew"
        return CredentialCheck(
            state=CheckState.BAD if bad else CheckState.UNREACHABLE,
            code=code,
            message=error.message,
            field=field if bad else "",
        )

    def authorize_url(self, *, redirect_uri: str, state: str) -> str:
        # The platform is particular about the order of these.
        query = urlencode(
            {
                "appid": self._ours.app_id,
                "redirect_uri": redirect_uri,
                "response_type": "code",
                "scope": "snsapi_base",
                "state": state,
            }
        )
        return f"{self._endpoints.oauth_authorize_url}?{query}#wechat_redirect"

    def payer_id_from_code(self, *, code: str) -> str:
        query = urlencode(
            {
                "appid": self._ours.app_id,
                "secret": self._ours.keys.get("app_secret", ""),
                "code": code,
                "grant_type": "authorization_code",
            }
        )
        answer = self._http.send("GET", f"{self._endpoints.oauth_token_url}?{query}")
        if answer.status != 200:
            raise http.unavailable(answer)
        with http.ReadingAnswer():
            message = wire.load(answer.body)
            failure = message.get("errcode", 0)
            if failure == 0:
                return fields.text(message, "openid")
        words = fields.optional(message, "errmsg")
        if failure in {-1, 45009, 45011}:
            raise PlatformUnavailable(words, code=str(failure))
        raise PlatformRejected(words, code=str(failure))
