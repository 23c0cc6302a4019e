"""Payments by Shouqianba: opened for the payer to come (code, page inside a wallet), or taken by the payer's code.

A code to be scanned lives about four minutes and a page inside a wallet about ninety seconds, whatever ``expires_at``
asks for: Shouqianba is not told it. What is past its life is not renewed under its number, since a number is used up even
by a failure: close it, and open another payment. The address of a page creates its order only when a wallet opens it, so an
address that nobody opened is unknown to Shouqianba and cannot be closed there; it may still be opened and paid later.

Cancelling is closing for what is unpaid and giving the whole amount back for what is paid (``close_gives_back``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from apps.platforms import fields, http
from apps.platforms.connectors.shouqianba import wire
from apps.platforms.connectors.shouqianba.base import ShouqianbaBase, order_in
from apps.platforms.connectors.shouqianba.client import ILLEGAL_SIGN, Unheard, trouble
from apps.platforms.gateway import (
    CODE_LOST,
    BarcodeRequest,
    CreateRequest,
    Handover,
    NotSupported,
    OrderNotFound,
    Outcome,
    PaymentRef,
    PaymentResult,
    PlatformRejected,
    PlatformUnavailable,
    Product,
)

#: How long after its end a payment by code that Shouqianba does not know is waited for: the call may lag.
_SETTLING = timedelta(seconds=60)
_UNDER_CANCELLATION = "CANCEL_INPROGRESS"
#: Codes of ours for a payer's code that Shouqianba did not look at, since it refused the signature or the terminal.
KEY_REFUSED, TERMINAL_OFF, TERMINAL_UNKNOWN = "key_refused", "terminal_off", "terminal_unknown"
_UNHEARD_CHARGES: Mapping[str, str] = {
    ILLEGAL_SIGN: KEY_REFUSED,
    "UPAY_TERMINAL_STATUS_ABNORMAL": TERMINAL_OFF,
}


class PaymentCalls(ShouqianbaBase):
    """The part of the gateway that opens, takes, asks about and ends payments."""

    def create_payment(self, request: CreateRequest) -> Handover:
        """A repeat of a code whose answer was lost gives the same code where Shouqianba still tells it.

        Where not, PlatformUnavailable says so (``CODE_LOST``): that one must be ended, and the next has another number.
        """
        if request.product in {Product.IN_APP, Product.BROWSER}:
            payway = _payway(self._endpoints.page_payways, request.wallet)
            return Handover(
                product=request.product,
                order_no=request.order_no,
                redirect_url=self._client.page(
                    self._endpoints.gateway_url, wire.page_order(request, payway=payway)
                ),
            )
        if request.product is not Product.DYNAMIC_QR:
            raise NotSupported(f"Shouqianba: {request.product}")
        payway = _payway(self._endpoints.code_payways, request.wallet)
        message = wire.code_order(request, payway=payway)
        try:
            answer = self._client.call("/upay/v2/precreate", message)
        except PlatformUnavailable as error:
            if error.code != wire.CONFLICT:
                raise
            return self._opened_before(request)
        if answer.error_code == wire.CONFLICT:
            return self._opened_before(request)
        if answer.result not in wire.DONE:
            raise trouble(answer)
        with http.ReadingAnswer():
            code = wire.code_opened(answer.data, request)
        return Handover(product=request.product, order_no=request.order_no, qr_content=code)

    def _opened_before(self, request: CreateRequest) -> Handover:
        """The number is known: an earlier call of ours has opened the order, and its answer was lost."""
        conflict = PlatformUnavailable("the number is taken", code=wire.CONFLICT)
        answer = self._client.call("/upay/v2/query", {"client_sn": request.order_no})
        try:
            result = self._payment(answer, request.order_no)
        except OrderNotFound as error:
            raise conflict from error
        code = fields.optional(answer.data, "qr_code")
        unpaid = result.outcome is Outcome.PENDING and result.amount == request.amount
        if unpaid and code:
            return Handover(product=request.product, order_no=request.order_no, qr_content=code)
        if unpaid or result.outcome is Outcome.CLOSED:
            # Not cancelled here: whoever made the earlier call may be showing the code just now.
            raise PlatformUnavailable("the code of an earlier call is lost", code=CODE_LOST)
        raise conflict

    def pay_barcode(self, request: BarcodeRequest) -> PaymentResult:
        try:
            answer = self._client.call(
                "/upay/v2/pay", wire.barcode_order(request), hidden=request.auth_code
            )
        except Unheard as error:
            # The code is shown once only, so that nothing was taken; a question about it would be refused just the same.
            code = _UNHEARD_CHARGES.get(error.code, TERMINAL_UNKNOWN)
            raise PlatformRejected(error.message, code=code) from error
        if answer.result == "PAY_IN_PROGRESS":
            return PaymentResult(
                outcome=Outcome.PENDING,
                order_no=request.order_no,
                code=answer.code,
                message=answer.message,
            )
        if answer.result not in wire.DONE:
            if answer.refused and answer.data.get("order_status"):
                # A refusal that was not undone at the payer's side is none.
                result = self._payment(replace(answer, result="SUCCESS"), request.order_no)
                if result.outcome is not Outcome.CLOSED:
                    raise PlatformUnavailable(answer.message, code=answer.code)
            raise trouble(answer)
        result = self._payment(answer, request.order_no)
        if result.amount not in {None, request.amount}:
            raise PlatformUnavailable("the answer names another amount", code="bad_answer")
        return result

    def query_payment(self, ref: PaymentRef) -> PaymentResult:
        answer = self._client.call("/upay/v2/query", {"client_sn": ref.order_no})
        return self._payment(answer, ref.order_no)

    async def query_payment_async(self, ref: PaymentRef) -> PaymentResult:
        answer = await self._client.call_async("/upay/v2/query", {"client_sn": ref.order_no})
        return self._payment(answer, ref.order_no)

    def _payment(self, answer: wire.Answer, order_no: str) -> PaymentResult:
        data = order_in(answer)
        with http.ReadingAnswer():
            return wire.payment(data, order_no=order_no)

    def close_payment(self, ref: PaymentRef) -> PaymentResult:
        """Asks first, since cancelling what is paid gives it back.

        Should it be paid between question and cancellation, the payer has the money back and CLOSED is true.
        """
        closed = PaymentResult(outcome=Outcome.CLOSED, order_no=ref.order_no, unseen=True)
        try:
            result = self.query_payment(ref)
        except OrderNotFound:
            return closed
        open_ = result.outcome in {Outcome.PENDING, Outcome.UNKNOWN}
        if not open_ or result.code == _UNDER_CANCELLATION:
            return result
        try:
            return self._cancel(ref)
        except OrderNotFound:
            return closed

    def reverse_payment(self, ref: PaymentRef) -> PaymentResult:
        """Cancels (撤单), paid or not. What Shouqianba refuses to cancel is looked at by query: a payment that stays made is
        told as SUCCEEDED, such as one of yesterday, since only the same day's can be cancelled.

        A page that nobody opened is closed at once; a payer's code may still be on its way.
        """
        try:
            return self._cancel(ref)
        except OrderNotFound as unknown:
            on_its_way = ref.product is Product.BARCODE and (
                self._clock() - ref.expires_at < _SETTLING
            )
            return PaymentResult(
                outcome=Outcome.PENDING if on_its_way else Outcome.CLOSED,
                order_no=ref.order_no,
                unseen=not on_its_way,
                code=unknown.code,
                message=unknown.message,
            )

    def _cancel(self, ref: PaymentRef) -> PaymentResult:
        answer = self._client.call("/upay/v2/cancel", {"client_sn": ref.order_no})
        told = PaymentResult(
            outcome=Outcome.CLOSED,
            order_no=ref.order_no,
            code=fields.optional(answer.data, "order_status") or answer.code,
            message=answer.message,
        )
        if answer.error_code == wire.CANCELLED_BEFORE:
            return told
        if answer.result in wire.WAITING:
            return replace(told, outcome=Outcome.PENDING, code=answer.code)
        if answer.error_code in wire.NOT_FOUND:
            raise OrderNotFound(answer.message, code=answer.error_code)
        if answer.error_code in wire.NOT_CANCELLABLE:
            return self.query_payment(ref)
        if answer.result not in wire.DONE:
            raise trouble(answer)
        if not answer.data:
            return told
        result = self._payment(answer, ref.order_no)
        if result.outcome is Outcome.CLOSED:
            return replace(told, platform_trade_no=result.platform_trade_no)
        # "Done", and yet not cancelled: the question decides.
        return self.query_payment(ref)


def _payway(payways: Mapping[str, str], wallet: str) -> str:
    if not wallet:
        raise PlatformRejected("which wallet pays is not said", code="wallet_missing")
    if wallet not in payways:
        raise NotSupported(f"Shouqianba: {wallet} by this way")
    return payways[wallet]
