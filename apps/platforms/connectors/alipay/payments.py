"""Payments at Alipay: opened for the payer to come (code, cashier page, wallet), or taken by the payer's code at the till.

Source: Alipay open platform documentation of the methods named below. A code that nobody has scanned yet has no trade behind
it (precreate is lazy): it is not found by queries, and there is nothing to close, though it may still be paid.
"""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import urlencode

from apps.platforms import fields, http
from apps.platforms.connectors.alipay import wire
from apps.platforms.connectors.alipay.base import AlipayBase
from apps.platforms.connectors.alipay.client import DONE
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

#: Answers to "close" under which the trade may be in any state: ask.
_CLOSE_DOUBTFUL = {
    "ACQ.TRADE_STATUS_ERROR",
    "ACQ.REASON_TRADE_STATUS_INVALID",
    "ACQ.REASON_ILLEGAL_STATUS",
    "ACQ.TRADE_HAS_SUCCESS",
    "ACQ.TRADE_HAS_FINISHED",
    "ACQ.TRADE_HAS_CLOSE",
}
#: The same for "cancel": it is too late, forbidden, or was done before.
_CANCEL_DOUBTFUL = _CLOSE_DOUBTFUL | {
    "ACQ.TRADE_CANCEL_TIME_OUT",
    "ACQ.CANCEL_NOT_ALLOWED",
    "ACQ.REASON_TRADE_REFUND_FEE_ERR",
    "ACQ.REASON_TRADE_BEEN_FREEZEN",
    "ACQ.TRADE_NOT_ALLOW_REFUND",
}
#: Refusals of a payer's code by which certainly nothing was taken.
_CODE_REFUSED = {
    "ACQ.PAYMENT_AUTH_CODE_INVALID",
    "ACQ.SOUNDWAVE_PARSER_FAIL",
    "ACQ.BUYER_BALANCE_NOT_ENOUGH",
    "ACQ.BUYER_BANKCARD_BALANCE_NOT_ENOUGH",
    "ACQ.ERROR_BALANCE_PAYMENT_DISABLE",
    "ACQ.PAYMENT_FAIL",
    "ACQ.PAYMENT_REQUEST_HAS_RISK",
    "ACQ.NO_PAYMENT_INSTRUMENTS_AVAILABLE",
    "ACQ.BUYER_PAYMENT_AMOUNT_DAY_LIMIT_ERROR",
    "ACQ.BUYER_PAYMENT_AMOUNT_MONTH_LIMIT_ERROR",
    "ACQ.BEYOND_PAY_RESTRICTION",
    "ACQ.BEYOND_PER_RECEIPT_RESTRICTION",
    "ACQ.BUYER_ENABLE_STATUS_FORBID",
    "ACQ.BUYER_SELLER_EQUAL",
    "ACQ.SELLER_BEEN_BLOCKED",
    "ACQ.TOTAL_FEE_EXCEED",
    "ACQ.INVALID_PARAMETER",
    "ACQ.ACCESS_FORBIDDEN",
    "ACQ.EXIST_FORBIDDEN_WORD",
    "ACQ.PARTNER_ERROR",
    "ACQ.PRODUCT_AMOUNT_LIMIT_ERROR",
}
#: How long a call may have been on its way before the platform got it.
_ON_ITS_WAY = timedelta(seconds=60)


class PaymentCalls(AlipayBase):
    """The part of the gateway that opens, takes, asks about and ends payments."""

    def create_payment(self, request: CreateRequest) -> Handover:
        if request.product is Product.IN_APP and request.payer_id:
            return self._in_app(request)
        biz = wire.order(request)
        if request.product is Product.DYNAMIC_QR:
            answer = self._client.call("alipay.trade.precreate", biz, notify_url=request.notify_url)
            with http.ReadingAnswer():
                if fields.text(answer, "out_trade_no") != request.order_no:
                    raise MalformedMessage("out_trade_no is another one")
                code = fields.text(answer, "qr_code")
            return Handover(product=request.product, order_no=request.order_no, qr_content=code)
        if request.product not in {Product.BROWSER, Product.IN_APP}:
            raise NotSupported(f"Alipay: {request.product}")
        parameters = self._client.signed(
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

    def _in_app(self, request: CreateRequest) -> Handover:
        """For the wallet's own script (``tradePay``), once it is known who pays."""
        answer = self._client.call(
            "alipay.trade.create",
            wire.in_app_order(request, self._ours),
            notify_url=request.notify_url,
        )
        with http.ReadingAnswer():
            if fields.text(answer, "out_trade_no") != request.order_no:
                raise MalformedMessage("out_trade_no is another one")
            trade_no = fields.text(answer, "trade_no")
        return Handover(
            product=request.product, order_no=request.order_no, invoke={"tradeNO": trade_no}
        )

    def query_payment(self, ref: PaymentRef) -> PaymentResult:
        answer = self._client.call("alipay.trade.query", {"out_trade_no": ref.order_no})
        with http.ReadingAnswer():
            return wire.payment(answer, order_no=ref.order_no, product=ref.product)

    async def query_payment_async(self, ref: PaymentRef) -> PaymentResult:
        answer = await self._client.call_async("alipay.trade.query", {"out_trade_no": ref.order_no})
        with http.ReadingAnswer():
            return wire.payment(answer, order_no=ref.order_no, product=ref.product)

    def close_payment(self, ref: PaymentRef) -> PaymentResult:
        order_no = ref.order_no
        try:
            answer = self._client.call("alipay.trade.close", {"out_trade_no": order_no})
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
        """No notices: one that comes late would call paid what was reversed meanwhile. Queries tell as soon."""
        try:
            answer = self._client.call(
                "alipay.trade.pay", wire.barcode_order(request), good=(DONE, wire.WAITING)
            )
        except PlatformRejected as refusal:
            # What the gateway refuses (no ACQ code) never reached the trade.
            if refusal.code in _CODE_REFUSED or not refusal.code.startswith("ACQ."):
                raise
            raise PlatformUnavailable(refusal.message, code=refusal.code) from refusal
        with http.ReadingAnswer():
            return wire.barcode_payment(answer, request)

    def reverse_payment(self, ref: PaymentRef) -> PaymentResult:
        """Cancel (撤销). What is refused is looked at by query: a payment that stays made is told as SUCCEEDED."""
        try:
            answer = self._client.call("alipay.trade.cancel", {"out_trade_no": ref.order_no})
        except OrderNotFound as unknown:
            # What is not there cannot be forbidden to come yet.
            over = self._clock() - ref.began_at >= _ON_ITS_WAY
            return PaymentResult(
                outcome=Outcome.CLOSED if over else Outcome.PENDING,
                order_no=ref.order_no,
                code=unknown.code,
            )
        except PlatformRejected as refusal:
            if refusal.retry_same:
                # Paid, and our balance does not suffice to give it back yet.
                return PaymentResult(
                    outcome=Outcome.PENDING,
                    order_no=ref.order_no,
                    code=refusal.code,
                    message=refusal.message,
                )
            if refusal.code not in _CANCEL_DOUBTFUL:
                raise
            return self.query_payment(ref)
        with http.ReadingAnswer():
            return wire.reversal(answer, order_no=ref.order_no)
