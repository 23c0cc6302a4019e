"""Payments at UnionPay: opened for the payer to come (code, cashier page), or taken by the payer's code at the till."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from apps.platforms import fields, http
from apps.platforms.connectors.unionpay import wire
from apps.platforms.connectors.unionpay.base import UnionpayBase, asked
from apps.platforms.connectors.unionpay.client import open_question, trouble
from apps.platforms.gateway import (
    BarcodeRequest,
    CreateRequest,
    FormPost,
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

#: How long after its end an order that UnionPay does not know is waited for: a payment of the last second may lag.
_SETTLING = timedelta(seconds=60)
#: When the bill has told what no query could.
_BILL_TELLS = timedelta(hours=36)


class PaymentCalls(UnionpayBase):
    """The part of the gateway that opens, takes, asks about and ends payments."""

    def create_payment(self, request: CreateRequest) -> Handover:
        if request.product in {Product.IN_APP, Product.BROWSER}:
            form = self._client.signed(wire.page_order(request))
            return Handover(
                product=request.product,
                order_no=request.order_no,
                form=FormPost(url=self._endpoints.front_url, fields=form),
            )
        if request.product is not Product.DYNAMIC_QR:
            raise NotSupported(f"UnionPay: {request.product}")
        answer = self._client.call(self._endpoints.back_url, wire.code_order(request))
        if answer["respCode"] != wire.ACCEPTED:
            # To apply for a code moves no money, so any plain refusal is final.
            raise trouble(answer, refused=lambda code: code not in wire.DOUBTFUL)
        with http.ReadingAnswer():
            code = fields.text(answer, "qrCode")
        return Handover(product=request.product, order_no=request.order_no, qr_content=code)

    def pay_barcode(self, request: BarcodeRequest) -> PaymentResult:
        answer = self._client.call(self._endpoints.back_url, wire.barcode_order(request))
        code = answer["respCode"]
        ref = PaymentRef(
            order_no=request.order_no,
            began_at=request.began_at,
            expires_at=request.expires_at,
            product=Product.BARCODE,
        )
        waiting = PaymentResult(
            outcome=Outcome.PENDING,
            order_no=request.order_no,
            code=code,
            message=fields.optional(answer, "respMsg"),
        )
        if code in {"05", "70"}:
            return waiting
        if code not in wire.PAID:
            raise trouble(answer, refused=wire.REFUSED.__contains__)
        # "00" says that the request was accepted; whether it was paid, only a query or a notice tells.
        try:
            result = self.query_payment(ref)
        except (PlatformUnavailable, PlatformRejected):
            return waiting
        if result.outcome is Outcome.UNKNOWN:
            # Only the query knows of an end that has passed; whoever polls will find it out.
            return waiting
        if result.amount not in {None, request.amount}:
            raise PlatformUnavailable("the answer names another amount", code="bad_answer")
        return result

    def query_payment(self, ref: PaymentRef) -> PaymentResult:
        return self._payment(self._client.call(self._endpoints.query_url, _question(ref)), ref)

    async def query_payment_async(self, ref: PaymentRef) -> PaymentResult:
        answer = await self._client.call_async(self._endpoints.query_url, _question(ref))
        return self._payment(answer, ref)

    def _payment(self, answer: Mapping[str, str], ref: PaymentRef) -> PaymentResult:
        code = asked(answer)
        over = self._clock() >= ref.expires_at
        with http.ReadingAnswer():
            return wire.payment(
                answer,
                outcome=wire.outcome(code, product=ref.product, over=over),
                code=code,
                near=ref.began_at,
            )

    def close_payment(self, ref: PaymentRef) -> PaymentResult:
        """There is no call to close: CLOSED for what is unpaid by what a query says.

        What UnionPay is undecided about stays open until its bill must have told.
        """
        late = self._clock() - ref.expires_at
        try:
            result = self.query_payment(ref)
        except OrderNotFound as unknown:
            outcome = Outcome.CLOSED
            if timedelta(0) <= late < _SETTLING:
                outcome = Outcome.PENDING
            return PaymentResult(
                outcome=outcome,
                order_no=ref.order_no,
                code=unknown.code,
                message=unknown.message,
            )
        if result.outcome is Outcome.PENDING and result.code not in wire.UNSETTLED:
            return replace(result, outcome=Outcome.CLOSED)
        if result.outcome is Outcome.UNKNOWN and late >= _BILL_TELLS:
            return replace(result, outcome=Outcome.CLOSED)
        return result

    def reverse_payment(self, ref: PaymentRef) -> PaymentResult:
        """Reverse (冲正). What is refused is looked at by query: a payment that stays made is told as SUCCEEDED.

        What neither decides stays open until the bill must have told.
        """
        answer = self._client.call(
            self._endpoints.back_url, wire.reversal(number=ref.order_no, began_at=ref.began_at)
        )
        code = answer["respCode"]
        words = fields.optional(answer, "respMsg")
        if code in wire.PAID:
            return PaymentResult(
                outcome=Outcome.CLOSED, order_no=ref.order_no, code=code, message=words
            )
        error = trouble(
            answer, refused=(wire.REFUSED | {wire.DUPLICATE, wire.NOT_FOUND}).__contains__
        )
        if isinstance(error, PlatformUnavailable):
            raise error
        if code in wire.OUR_FAULT - {"32"}:
            # It was not looked at, so an earlier one may have taken effect, of which a query of the payment does not tell.
            raise open_question(words, code)
        late = self._clock() - ref.expires_at
        pending = PaymentResult(
            outcome=Outcome.CLOSED if late >= _BILL_TELLS else Outcome.PENDING,
            order_no=ref.order_no,
            code=code,
            message=words,
        )
        try:
            result = self.query_payment(ref)
        except OrderNotFound:
            # Neither the payment nor its reversal is known. The payer's code is dead by now; the request may lag.
            return replace(pending, outcome=Outcome.CLOSED) if late >= _SETTLING else pending
        if result.outcome in {Outcome.FAILED, Outcome.CLOSED}:
            return replace(result, outcome=Outcome.CLOSED)
        # "Reversed before" and "not in a state to be reversed" may both be the echo of a reversal of ours.
        if result.outcome is Outcome.SUCCEEDED and code not in {wire.DUPLICATE, "35"}:
            return result
        return pending


def _question(ref: PaymentRef) -> dict[str, str]:
    return wire.query(number=ref.order_no, began_at=ref.began_at, product=ref.product)
