"""Alipay OpenAPI (gateway, RSA2, key mode) for a merchant's own application."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, ClassVar
from urllib.parse import urlencode, urlsplit

from apps.core.clock import CHINA
from apps.platforms import fields, http, rsa
from apps.platforms.connectors.alipay import signing, statement, wire
from apps.platforms.gateway import (
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
)

_DONE = "10000"
_FAILED = "40004"
#: Answers that must carry a signature. Gateway refusals may come without one.
_SIGNED = {_DONE, "10003", _FAILED}
_NOT_FOUND = {"ACQ.TRADE_NOT_EXIST"}
_RETRY_SAME = {"ACQ.SELLER_BALANCE_NOT_ENOUGH"}
#: Answers to "close" under which the trade may be in any state: ask.
_CLOSE_DOUBTFUL = {
    "ACQ.TRADE_STATUS_ERROR",
    "ACQ.REASON_TRADE_STATUS_INVALID",
    "ACQ.REASON_ILLEGAL_STATUS",
    "ACQ.TRADE_HAS_SUCCESS",
    "ACQ.TRADE_HAS_FINISHED",
    "ACQ.TRADE_HAS_CLOSE",
}
_AT_FAULT = {
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


@dataclass(frozen=True, slots=True, kw_only=True)
class AlipayEndpoints:
    """Where the platform lives."""

    gateway_url: str
    oauth_authorize_url: str


class AlipayGateway(PlatformGateway):
    """One merchant's access to Alipay. IN_APP sends the payer to the same cashier page as BROWSER; no payer id needed."""

    platform: ClassVar[Platform] = Platform.ALIPAY
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
        endpoints: AlipayEndpoints,
        clock: Callable[[], datetime],
        nonce: Callable[[], str] = lambda: secrets.token_hex(16),
    ) -> None:
        self._ours = credentials
        self._http = http
        self._endpoints = endpoints
        self._clock = clock
        self._nonce = nonce

    # Payments

    def create_payment(self, request: CreateRequest) -> Handover:
        biz = wire.order(request)
        if request.product is Product.DYNAMIC_QR:
            answer = self._call("alipay.trade.precreate", biz, notify_url=request.notify_url)
            with http.ReadingAnswer():
                if fields.text(answer, "out_trade_no") != request.order_no:
                    raise MalformedMessage("out_trade_no is another one")
                code = fields.text(answer, "qr_code")
            return Handover(product=request.product, order_no=request.order_no, qr_content=code)
        if request.product not in {Product.BROWSER, Product.IN_APP}:
            raise NotSupported(f"Alipay: {request.product}")
        parameters = self._signed(
            "alipay.trade.wap.pay",
            biz,
            notify_url=request.notify_url,
            return_url=request.return_url,
        )
        return Handover(
            product=request.product,
            order_no=request.order_no,
            redirect_url=f"{self._endpoints.gateway_url}?{urlencode(parameters)}",
        )

    def query_payment(self, ref: PaymentRef) -> PaymentResult:
        answer = self._call("alipay.trade.query", {"out_trade_no": ref.order_no})
        with http.ReadingAnswer():
            return wire.payment(answer, order_no=ref.order_no)

    async def query_payment_async(self, ref: PaymentRef) -> PaymentResult:
        answer = await self._call_async("alipay.trade.query", {"out_trade_no": ref.order_no})
        with http.ReadingAnswer():
            return wire.payment(answer, order_no=ref.order_no)

    def close_payment(self, ref: PaymentRef) -> PaymentResult:
        order_no = ref.order_no
        try:
            answer = self._call("alipay.trade.close", {"out_trade_no": order_no})
        except OrderNotFound:
            # A code that nobody scanned has no trade behind it: nothing to close.
            return PaymentResult(outcome=Outcome.CLOSED, order_no=order_no)
        except PlatformRejected as refusal:
            if refusal.code not in _CLOSE_DOUBTFUL:
                raise
            result = self.query_payment(ref)
            if result.outcome is Outcome.PENDING:
                raise
            return result
        with http.ReadingAnswer():
            if fields.text(answer, "out_trade_no") != order_no:
                raise MalformedMessage("out_trade_no is another one")
        return PaymentResult(
            outcome=Outcome.CLOSED,
            order_no=order_no,
            platform_trade_no=fields.optional(answer, "trade_no") or None,
        )

    def pay_barcode(self, request: BarcodeRequest) -> PaymentResult:
        raise NotSupported("Alipay: barcode")

    def reverse_payment(self, ref: PaymentRef) -> PaymentResult:
        raise NotSupported("Alipay: reverse")

    # Refunds

    def refund(self, request: RefundRequest) -> RefundResult:
        answer = self._call("alipay.trade.refund", wire.refund_order(request))
        with http.ReadingAnswer():
            result = wire.refund_made(answer, request)
        if result is not None:
            return result
        # No money moved by this very call: a repeat of one that did, or not yet known.
        try:
            result = self._refund(
                self._call(_REFUND_QUERY, self._refund_query(request.order_no, request.refund_no)),
                request.order_no,
                request.refund_no,
            )
        except OrderNotFound as error:
            raise PlatformUnavailable(
                "accepted, but no money has moved yet", code="fund_change_n"
            ) from error
        if result.amount != request.amount:
            raise PlatformUnavailable("the answer names another amount", code="bad_answer")
        return result

    def query_refund(self, ref: RefundRef) -> RefundResult:
        answer = self._call(_REFUND_QUERY, self._refund_query(ref.order_no, ref.refund_no))
        return self._refund(answer, ref.order_no, ref.refund_no)

    async def query_refund_async(self, ref: RefundRef) -> RefundResult:
        biz = self._refund_query(ref.order_no, ref.refund_no)
        answer = await self._call_async(_REFUND_QUERY, biz)
        return self._refund(answer, ref.order_no, ref.refund_no)

    def _refund_query(self, order_no: str, refund_no: str) -> dict[str, Any]:
        return {
            "out_trade_no": order_no,
            "out_request_no": refund_no,
            "query_options": ["gmt_refund_pay"],
        }

    def _refund(self, answer: Mapping[str, Any], order_no: str, refund_no: str) -> RefundResult:
        with http.ReadingAnswer():
            result = wire.refund(answer, order_no=order_no, refund_no=refund_no)
        if result is None:
            raise OrderNotFound("no such refund was made", code="REFUND_NOT_EXIST")
        return result

    # Notifications

    def parse_notification(self, raw: RawNotification) -> Notification:
        try:
            fields, charset = signing.read_form(raw.body)
        except signing.Unreadable as error:
            raise MalformedMessage(str(error)) from error
        try:
            key = rsa.load_public_key(self._ours.keys.get("alipay_public_key", ""))
            signing.verify_form(key, fields, charset)
        except rsa.UnusableKey as error:
            raise InvalidSignature("our copy of the platform's key is unusable") from error
        except signing.SignatureRefused as error:
            raise InvalidSignature(str(error)) from error
        return wire.notification(fields, self._ours)

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
            answer = self._call("alipay.data.dataservice.bill.downloadurl.query", biz)
        except PlatformRejected as refusal:
            # The spelling of the code's prefix differs between documents.
            if "bill_not_exist" not in refusal.code.lower():
                raise
            ready_at = datetime.combine(
                business_date + timedelta(days=1), _BILLS_READY, tzinfo=CHINA
            )
            if self._clock() < ready_at:
                raise StatementNotReady(refusal.message, code=refusal.code) from refusal
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

    def parse_statement(
        self, content: bytes, *, business_date: date, kind: StatementKind
    ) -> ParsedStatement:
        return statement.parse(
            content, merchant_no=self._ours.merchant_no, business_date=business_date, kind=kind
        )

    # Credentials and identity

    def check_credentials(self) -> CredentialCheck:
        # Nothing can have this number, so the one good answer is "no such trade", signed by the platform.
        try:
            self._call("alipay.trade.query", {"out_trade_no": f"check{self._nonce()[:24]}"})
        except OrderNotFound:
            return CredentialCheck(state=CheckState.GOOD)
        except PlatformRejected as refusal:
            field = "private_key" if refusal.code == "bad_key" else ""
            return CredentialCheck(
                state=CheckState.BAD,
                code=refusal.code,
                message=refusal.message,
                field=field or _AT_FAULT.get(refusal.code, ""),
            )
        except PlatformUnavailable as trouble:
            bad = trouble.code == "bad_signature"
            return CredentialCheck(
                state=CheckState.BAD if bad else CheckState.UNREACHABLE,
                code=trouble.code,
                message=trouble.message,
                field="alipay_public_key" if bad else "",
            )
        return CredentialCheck(state=CheckState.GOOD)

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
        answer = self._call(
            "alipay.system.oauth.token", None, grant_type="authorization_code", code=code
        )
        payer = fields.optional(answer, "user_id") or fields.optional(answer, "open_id")
        if not payer:
            raise PlatformUnavailable("the answer names no payer", code="bad_answer")
        return payer

    # The call

    def _call(
        self, method: str, biz: Mapping[str, Any] | None, **parameters: str
    ) -> dict[str, Any]:
        url, body = self._request(self._signed(method, biz, **parameters))
        return self._read(method, self._http.send("POST", url, headers=_FORM, body=body))

    async def _call_async(self, method: str, biz: Mapping[str, Any]) -> dict[str, Any]:
        url, body = self._request(self._signed(method, biz))
        return self._read(
            method, await self._http.send_async("POST", url, headers=_FORM, body=body)
        )

    def _signed(
        self, method: str, biz: Mapping[str, Any] | None, **parameters: str
    ) -> dict[str, str]:
        """All parameters of a call with their signature, empty ones left out."""
        filled = {
            "app_id": self._ours.app_id,
            "method": method,
            "format": "JSON",
            "charset": "utf-8",
            "sign_type": "RSA2",
            "timestamp": wire.to_beijing(self._clock()),
            "version": "1.0",
            **{name: value for name, value in parameters.items() if value},
        }
        if biz is not None:
            filled["biz_content"] = wire.dump(biz)
        try:
            key = rsa.load_private_key(self._ours.keys.get("private_key", ""))
        except rsa.UnusableKey as error:
            raise PlatformRejected(
                f"the application's private key is unusable: {error.reason}", code="bad_key"
            ) from error
        return {**filled, "sign": signing.sign_request(key, filled)}

    def _request(self, parameters: Mapping[str, str]) -> tuple[str, bytes]:
        # charset must stand in the address: without it the gateway reads, and later notifies, in GBK.
        biz = {name: value for name, value in parameters.items() if name == "biz_content"}
        rest = {name: value for name, value in parameters.items() if name != "biz_content"}
        return f"{self._endpoints.gateway_url}?{urlencode(rest)}", urlencode(biz).encode("ascii")

    def _read(self, method: str, answer: http.HttpAnswer) -> dict[str, Any]:
        """The verified content of a good answer, or the error that a bad one means."""
        if answer.status != 200:
            raise http.unavailable(answer)
        try:
            members, sign = signing.cut_answer(answer.body)
        except signing.Unreadable as error:
            raise PlatformUnavailable(str(error), code="bad_answer") from error
        own = members.get(method.replace(".", "_") + "_response")
        inner = own if own is not None else members.get("error_response")
        if inner is None:
            raise PlatformUnavailable("the answer is to another call", code="bad_answer")
        with http.ReadingAnswer():
            message = wire.load(inner)
        # The token call answers without a code when all is well.
        code = str(message.get("code") or (_DONE if own is not None else ""))
        if code in _SIGNED:
            self._verify(inner, sign)
        if code == _DONE and own is not None:
            return message
        sub_code = fields.optional(message, "sub_code")
        words = fields.optional(message, "sub_msg") or fields.optional(message, "msg")
        if not code or code == _DONE:
            raise PlatformUnavailable("an answer without a code", code="bad_answer")
        if _transient(code, sub_code):
            raise PlatformUnavailable(words, code=sub_code or code)
        if sub_code in _NOT_FOUND:
            raise OrderNotFound(words, code=sub_code)
        raise PlatformRejected(words, code=sub_code or code, retry_same=sub_code in _RETRY_SAME)

    def _verify(self, inner: str, sign: str) -> None:
        try:
            key = rsa.load_public_key(self._ours.keys.get("alipay_public_key", ""))
            signing.verify_answer(key, inner, sign)
        except (rsa.UnusableKey, signing.SignatureRefused) as error:
            raise PlatformUnavailable(
                f"the answer's signature was refused: {error}", code="bad_signature"
            ) from error


_FORM = {"Content-Type": "application/x-www-form-urlencoded;charset=utf-8"}
_REFUND_QUERY = "alipay.trade.fastpay.refund.query"


def _transient(code: str, sub_code: str) -> bool:
    """Whether the answer leaves open what happened: 20000, 10003, system errors, throttling."""
    if code in {"20000", "10003"} or not code.startswith("4"):
        return code != "20001"
    name = sub_code.upper()
    return (
        # Both spellings of the prefix are seen on the wire.
        name in {"ACQ.SYSTEM_ERROR", "AQC.SYSTEM_ERROR"}
        or "UNKNOW" in name
        or "CALL-LIMITED" in name
        or (name.startswith("ISP.") and "BILL_NOT_EXIST" not in name)
    )
