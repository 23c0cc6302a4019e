"""WeChat Pay API v3 for a direct merchant, in public-key or platform-certificate mode."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, ClassVar
from urllib.parse import quote, urlencode

from apps.platforms import fields, files, http, rsa
from apps.platforms.connectors.wechatpay import signing, statement, wire
from apps.platforms.connectors.wechatpay.client import WechatpayClient
from apps.platforms.gateway import (
    API_V3_KEY_WRONG,
    Ack,
    BarcodeRequest,
    Capability,
    CheckState,
    CreateRequest,
    CredentialCheck,
    Credentials,
    Handover,
    InvalidSignature,
    MalformedMessage,
    Notification,
    NotificationKind,
    NotSupported,
    OrderNotFound,
    Outcome,
    ParsedStatement,
    PaymentRef,
    PaymentResult,
    Platform,
    PlatformGateway,
    PlatformRejected,
    PlatformUnavailable,
    Product,
    RawNotification,
    RefundRef,
    RefundRequest,
    RefundResult,
    StatementEmpty,
    StatementFile,
    StatementKind,
    StatementNotReady,
    StatementUnreadable,
    WrongKey,
)

_PRODUCTS = {Product.IN_APP: "jsapi", Product.DYNAMIC_QR: "native", Product.BROWSER: "h5"}
_CLOSED = {"ORDER_CLOSED", "ORDERCLOSED"}
#: Answers to "close" under which the order may be in any state: ask. The string for "already paid" is not documented.
_CLOSE_DOUBTFUL = {
    "ORDER_PAID",
    "ORDERPAID",
    "TRADE_ERROR",
    "TRADE_STATE_ERROR",
    "INVALID_REQUEST",
    "RULE_LIMIT",
}
#: Which credential to look at, by the platform's code.
_AT_FAULT = {
    "SIGN_ERROR": "private_key",
    "NO_AUTH": "merchant_no",
    "NOAUTH": "merchant_no",
    "MCH_NOT_EXISTS": "merchant_no",
    "APPID_MCHID_NOT_MATCH": "app_id",
    "APPID_NOT_EXIST": "app_id",
}
_BILLS = {
    StatementKind.TRADE: ("/v3/bill/tradebill", "bill_type", "ALL"),
    StatementKind.FUND: ("/v3/bill/fundflowbill", "account_type", "BASIC"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WechatpayEndpoints:
    """Where the platform lives. ``api_url`` may carry a path prefix, which is never part of what is signed."""

    api_url: str
    oauth_authorize_url: str
    oauth_token_url: str


class WechatpayGateway(PlatformGateway):
    """One merchant's access to WeChat Pay. ``nonce`` gives a fresh random text for each signature."""

    platform: ClassVar[Platform] = Platform.WECHATPAY
    capabilities: ClassVar[frozenset[Capability]] = frozenset(
        {
            Capability.IN_APP,
            Capability.DYNAMIC_QR,
            Capability.BROWSER,
            Capability.CLOSE,
            Capability.REFUND,
            Capability.PARTIAL_REFUND,
            Capability.PAYER_IDENTITY,
            Capability.TRADE_STATEMENT,
            Capability.FUND_STATEMENT,
        }
    )

    def __init__(
        self,
        *,
        credentials: Credentials,
        http: http.PlatformHttp,
        endpoints: WechatpayEndpoints,
        clock: Callable[[], datetime],
        nonce: Callable[[], str] = lambda: secrets.token_hex(16),
    ) -> None:
        self._ours = credentials
        self._http = http
        self._endpoints = endpoints
        self._nonce = nonce
        self._client = WechatpayClient(
            credentials=credentials,
            http=http,
            api_url=endpoints.api_url,
            clock=clock,
            nonce=nonce,
        )

    # Payments

    def create_payment(self, request: CreateRequest) -> Handover:
        product = _PRODUCTS.get(request.product)
        if product is None:
            raise NotSupported(f"WeChat Pay: {request.product}")
        if request.product is Product.IN_APP and not request.payer_id:
            raise PlatformRejected("the payer's openid is missing", code="payer_missing")
        if request.product is Product.BROWSER and not request.client_ip:
            raise PlatformRejected("the payer's IP address is missing", code="client_ip_missing")
        answer = self._client.call(
            "POST", f"/v3/pay/transactions/{product}", wire.order(request, self._ours)
        )
        with http.ReadingAnswer():
            if request.product is Product.DYNAMIC_QR:
                return Handover(
                    product=request.product,
                    order_no=request.order_no,
                    qr_content=fields.text(answer, "code_url"),
                )
            if request.product is Product.BROWSER:
                url = fields.text(answer, "h5_url")
                if request.return_url:
                    url += f"&redirect_url={quote(request.return_url, safe='')}"
                return Handover(
                    product=request.product, order_no=request.order_no, redirect_url=url
                )
            prepay_id = fields.text(answer, "prepay_id")
        return Handover(
            product=request.product,
            order_no=request.order_no,
            invoke=self._invoke_parameters(prepay_id),
        )

    def _invoke_parameters(self, prepay_id: str) -> dict[str, str]:
        timestamp, nonce = self._client.timestamp(), self._nonce()
        package = f"prepay_id={prepay_id}"
        message = signing.pay_message(
            app_id=self._ours.app_id, timestamp=timestamp, nonce=nonce, package=package
        )
        return {
            "appId": self._ours.app_id,
            "timeStamp": timestamp,
            "nonceStr": nonce,
            "package": package,
            "signType": "RSA",
            "paySign": rsa.sign(self._client.private_key(), message),
        }

    def query_payment(self, ref: PaymentRef) -> PaymentResult:
        return self._payment(
            self._client.call("GET", self._query_target(ref.order_no)), ref.order_no
        )

    async def query_payment_async(self, ref: PaymentRef) -> PaymentResult:
        answer = await self._client.call_async("GET", self._query_target(ref.order_no))
        return self._payment(answer, ref.order_no)

    def _query_target(self, order_no: str) -> str:
        query = urlencode({"mchid": self._ours.merchant_no})
        return f"/v3/pay/transactions/out-trade-no/{quote(order_no, safe='')}?{query}"

    def _payment(self, answer: Mapping[str, Any], order_no: str) -> PaymentResult:
        with http.ReadingAnswer():
            result = wire.payment(answer, self._ours)
            if result.order_no != order_no:
                raise MalformedMessage("out_trade_no is another one")
        return result

    def close_payment(self, ref: PaymentRef) -> PaymentResult:
        closed = PaymentResult(outcome=Outcome.CLOSED, order_no=ref.order_no)
        try:
            self._client.call(
                "POST",
                f"/v3/pay/transactions/out-trade-no/{quote(ref.order_no, safe='')}/close",
                {"mchid": self._ours.merchant_no},
            )
        except OrderNotFound:
            return closed
        except PlatformRejected as refusal:
            if refusal.code in _CLOSED:
                return closed
            if refusal.code not in _CLOSE_DOUBTFUL:
                raise
            result = self.query_payment(ref)
            if result.outcome is Outcome.PENDING:
                raise
            return result
        return closed

    def pay_barcode(self, request: BarcodeRequest) -> PaymentResult:
        raise NotSupported("WeChat Pay: barcode")

    def reverse_payment(self, ref: PaymentRef) -> PaymentResult:
        raise NotSupported("WeChat Pay: reverse")

    # Refunds

    def refund(self, request: RefundRequest) -> RefundResult:
        answer = self._client.call(
            "POST", "/v3/refund/domestic/refunds", wire.refund_order(request)
        )
        result = self._refund(answer, request.order_no, request.refund_no)
        if result.amount != request.amount:
            raise PlatformUnavailable("the answer names another amount", code="bad_answer")
        return result

    def query_refund(self, ref: RefundRef) -> RefundResult:
        answer = self._client.call("GET", self._refund_target(ref.refund_no))
        return self._refund(answer, ref.order_no, ref.refund_no)

    async def query_refund_async(self, ref: RefundRef) -> RefundResult:
        answer = await self._client.call_async("GET", self._refund_target(ref.refund_no))
        return self._refund(answer, ref.order_no, ref.refund_no)

    def _refund_target(self, refund_no: str) -> str:
        return f"/v3/refund/domestic/refunds/{quote(refund_no, safe='')}"

    def _refund(self, answer: Mapping[str, Any], order_no: str, refund_no: str) -> RefundResult:
        with http.ReadingAnswer():
            result = wire.refund(answer, self._ours)
            if (result.order_no, result.refund_no) != (order_no, refund_no):
                raise MalformedMessage("the answer is about another refund")
        return result

    # Notifications

    def parse_notification(self, raw: RawNotification) -> Notification:
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

    def parse_statement(
        self, content: bytes, *, business_date: date, kind: StatementKind
    ) -> ParsedStatement:
        return statement.parse(
            content, merchant_no=self._ours.merchant_no, business_date=business_date, kind=kind
        )

    # Credentials and identity

    def check_credentials(self) -> CredentialCheck:
        try:
            keys = signing.platform_keys(self._ours.keys)
        except rsa.UnusableKey as error:
            return CredentialCheck(state=CheckState.BAD, code=error.reason, field="public_key")
        if not keys:
            return CredentialCheck(state=CheckState.BAD, code="empty", field="public_key")
        # Nothing can have this number, so the one good answer is "no such order".
        order_no = f"check{secrets.token_hex(12)}"
        try:
            with contextlib.suppress(OrderNotFound):
                self._client.call("GET", self._query_target(order_no))
            self._check_answers()
            self._check_app_secret()
        except PlatformRejected as refusal:
            return _verdict(refusal)
        except PlatformUnavailable as trouble:
            field = {"bad_signature": "public_key", "unknown_serial": "public_key_id"}
            bad = trouble.code in field
            return CredentialCheck(
                state=CheckState.BAD if bad else CheckState.UNREACHABLE,
                code=trouble.code,
                message=trouble.message,
                field=field.get(trouble.code, ""),
            )
        return CredentialCheck(state=CheckState.GOOD)

    def _check_answers(self) -> None:
        """Have something signed by the platform: refusals carry no signature, so the first call proves one way only."""
        try:
            self._client.call("POST", "/v3/security/echo", {"echo_message": "hello"})
        except PlatformRejected:
            return
        except PlatformUnavailable as trouble:
            # Not every merchant has this call; only a signature that does not verify tells something.
            if trouble.code in {"bad_signature", "unknown_serial", "clock_skew"}:
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


def _verdict(refusal: PlatformRejected) -> CredentialCheck:
    field = _AT_FAULT.get(refusal.code, "")
    words = refusal.message.lower()
    if refusal.code == "bad_key":
        field = "private_key"
    elif refusal.code in {"40001", "40125", "41004"}:
        field = "app_secret"
    elif refusal.code == "40013" or "appid" in words:
        field = "app_id"
    elif refusal.code == "SIGN_ERROR" and ("序列号" in words or "serial" in words):
        field = "serial_no"
    elif refusal.code == "SIGN_ERROR" and ("时间" in words or "timestamp" in words):
        # Our clock is off: no credential is to blame.
        field = ""
    elif refusal.code in {"SIGN_ERROR", "PARAM_ERROR", "INVALID_REQUEST"} and (
        "商户号" in words or "mchid" in words
    ):
        field = "merchant_no"
    return CredentialCheck(
        state=CheckState.BAD, code=refusal.code, message=refusal.message, field=field
    )
