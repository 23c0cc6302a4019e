"""Payments at WeChat Pay: opened for the payer to come (JSAPI, Native, H5), or taken by the payer's code at the till.

Sources: WeChat Pay merchant documentation 4012791856 to 4012791860, and code-payment-v3 (direct/code-pay, direct/reverse).
Whether a merchant may use the latter is by contract; the codes of its refusals are only partly documented, so what is not
certainly a refusal is asked about and reversed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import quote, urlencode

from apps.platforms import fields, http, rsa
from apps.platforms.connectors.wechatpay import signing, wire
from apps.platforms.connectors.wechatpay.base import WechatpayBase
from apps.platforms.gateway import (
    BarcodeRequest,
    CreateRequest,
    Handover,
    MalformedMessage,
    NotSupported,
    OrderNotFound,
    Outcome,
    PaymentRef,
    PaymentResult,
    PlatformRejected,
    PlatformUnavailable,
    Product,
)

_PRODUCTS = {Product.IN_APP: "jsapi", Product.DYNAMIC_QR: "native", Product.BROWSER: "h5"}
_CLOSED = {"ORDER_CLOSED", "ORDERCLOSED"}
#: Answers to "close" and "reverse" under which the order may be in any state: ask. The string for "already paid" is not
#: documented.
_DOUBTFUL = {
    "ORDER_PAID",
    "ORDERPAID",
    "TRADE_ERROR",
    "TRADE_STATE_ERROR",
    "INVALID_REQUEST",
    "RULE_LIMIT",
    "USERPAYING",
    "USER_PAYING",
    "ORDERREVERSED",
    "ORDER_REVERSED",
}
#: The payer is typing the password: an order's state, and in older interfaces the code of an error.
_WAITING = {"USERPAYING", "USER_PAYING"}
#: Refusals of a payer's code by which certainly nothing was taken.
_CODE_REFUSED = {
    "AUTHCODEEXPIRE",
    "AUTH_CODE_EXPIRE",
    "AUTH_CODE_EXPIRED",
    "AUTH_CODE_ERROR",
    "AUTH_CODE_INVALID",
    "NOTSUPORTCARD",
    "NOT_SUPPORT_CARD",
    "BUYER_MISMATCH",
    "USER_ACCOUNT_ABNORMAL",
    "ACCOUNT_ERROR",
    "PARAM_ERROR",
    "INVALID_REQUEST",
    "NO_AUTH",
    "NOAUTH",
    "RULE_LIMIT",
    "APPID_MCHID_NOT_MATCH",
    "APPID_NOT_EXIST",
    "MCH_NOT_EXISTS",
}
_PAYER_SHORT = {"NOTENOUGH", "NOT_ENOUGH"}
#: Our code for the payer's balance being too low.
PAYER_SHORT = "payer_balance"
#: How long a call may have been on its way before the platform got it.
_ON_ITS_WAY = timedelta(seconds=60)


class PaymentCalls(WechatpayBase):
    """The part of the gateway that opens, takes, asks about and ends payments."""

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
            if refusal.code not in _DOUBTFUL:
                raise
            # Orders by a payer's code are never closed, only reversed: this says so, or what became of them.
            result = self.query_payment(ref)
            if result.outcome is Outcome.PENDING:
                raise
            return result
        return closed

    def pay_barcode(self, request: BarcodeRequest) -> PaymentResult:
        try:
            # Never twice: the code is used up by the first call, and the refusal of a second would hide what that one did.
            answer = self._client.call(
                "POST",
                "/v3/pay/transactions/codepay",
                wire.barcode_order(request, self._ours),
                repeats=False,
            )
        except (PlatformRejected, PlatformUnavailable) as error:
            if error.code in _WAITING:
                return PaymentResult(
                    outcome=Outcome.PENDING, order_no=request.order_no, code=error.code
                )
            if isinstance(error, PlatformUnavailable):
                raise
            if error.code in _PAYER_SHORT:
                # The same word as for a refund that our own balance does not suffice for, which may be sent again.
                raise PlatformRejected(error.message, code=PAYER_SHORT) from error
            if error.code in _CODE_REFUSED:
                raise
            raise PlatformUnavailable(error.message, code=error.code) from error
        if answer.get("trade_state") == "USERPAYING" and "out_trade_no" not in answer:
            # Merchants report that nothing else is told while the payer types the password.
            return PaymentResult(
                outcome=Outcome.PENDING, order_no=request.order_no, code="USERPAYING"
            )
        result = self._payment(answer, request.order_no)
        if result.amount not in {None, request.amount}:
            raise PlatformUnavailable("the answer names another amount", code="bad_answer")
        return result

    def reverse_payment(self, ref: PaymentRef) -> PaymentResult:
        """Reverse (撤销). What is refused is looked at by query: a payment that stays made is told as SUCCEEDED."""
        closed = PaymentResult(outcome=Outcome.CLOSED, order_no=ref.order_no, code="REVOKED")
        try:
            answer = self._client.call(
                "POST",
                f"/v3/pay/transactions/out-trade-no/{quote(ref.order_no, safe='')}/reverse",
                {"appid": self._ours.app_id, "mchid": self._ours.merchant_no},
            )
        except OrderNotFound as unknown:
            # What is not there cannot be forbidden to come yet.
            if self._clock() - ref.began_at >= _ON_ITS_WAY:
                return closed
            return PaymentResult(outcome=Outcome.PENDING, order_no=ref.order_no, code=unknown.code)
        except PlatformRejected as refusal:
            if refusal.code in _CLOSED:
                return closed
            if refusal.code not in _DOUBTFUL:
                raise
            result = self.query_payment(ref)
            return closed if result.outcome is Outcome.FAILED else result
        with http.ReadingAnswer():
            # Some merchants are answered 204, without a body.
            if answer and fields.text(answer, "out_trade_no") != ref.order_no:
                raise MalformedMessage("out_trade_no is another one")
        return closed
