"""Refunds at UnionPay: each a transaction of its own, with a number and a time of its own, asked about like a payment."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from apps.platforms import fields, http
from apps.platforms.connectors.unionpay import wire
from apps.platforms.connectors.unionpay.base import UnionpayBase, asked
from apps.platforms.connectors.unionpay.client import trouble
from apps.platforms.gateway import (
    MalformedMessage,
    OrderNotFound,
    Outcome,
    PaymentRef,
    PlatformRejected,
    PlatformUnavailable,
    RefundRef,
    RefundRequest,
    RefundResult,
)

#: A refund sent again later than this carries a time that UnionPay may refuse whatever became of the first call.
_FRESH = timedelta(minutes=5)
#: A refund that UnionPay does not know for this long never reached it.
_NEVER_ARRIVED = timedelta(days=1)


class RefundCalls(UnionpayBase):
    """The part of the gateway that gives money back."""

    def refund(self, request: RefundRequest) -> RefundResult:
        trade_no = request.platform_trade_no or self._trade_no(request)
        message = wire.refund_order(
            request, platform_trade_no=trade_no, cancels_same_day=self._cancels_same_day
        )
        answer = self._client.call(self._endpoints.back_url, message)
        code = answer["respCode"]
        if code == wire.DUPLICATE:
            return self._refunded_before(request, trade_no, answer)
        if code not in wire.PAID | {"05"}:
            raise self._not_refunded(request, answer)
        return RefundResult(
            outcome=Outcome.PENDING,
            order_no=request.order_no,
            refund_no=request.refund_no,
            platform_refund_no=fields.optional(answer, "queryId") or None,
            amount=request.amount,
            code=code,
            message=fields.optional(answer, "respMsg"),
        )

    def _trade_no(self, request: RefundRequest) -> str:
        """UnionPay's number of the payment, without which nothing can be refunded."""
        ref = PaymentRef(
            order_no=request.order_no,
            began_at=request.payment_began_at,
            expires_at=request.payment_began_at,
        )
        try:
            result = self.query_payment(ref)
        except OrderNotFound as unknown:
            raise PlatformUnavailable(unknown.message, code=unknown.code) from unknown
        if result.outcome is not Outcome.SUCCEEDED or not result.platform_trade_no:
            raise PlatformUnavailable(
                "UnionPay does not call the payment paid", code=result.code or "bad_answer"
            )
        return result.platform_trade_no

    def _refunded_before(
        self, request: RefundRequest, trade_no: str, answer: Mapping[str, str]
    ) -> RefundResult:
        """The number is known already: what became of it is the answer."""
        ref = RefundRef(
            order_no=request.order_no,
            refund_no=request.refund_no,
            began_at=request.began_at,
            platform_trade_no=trade_no,
        )
        try:
            result = self.query_refund(ref)
        except OrderNotFound as unknown:
            raise PlatformUnavailable(
                fields.optional(answer, "respMsg"), code=wire.DUPLICATE
            ) from unknown
        if result.amount not in {None, request.amount}:
            raise PlatformUnavailable("the answer names another amount", code="bad_answer")
        return result

    def _not_refunded(
        self, request: RefundRequest, answer: Mapping[str, str]
    ) -> PlatformUnavailable | PlatformRejected:
        error = trouble(answer, refused=wire.REFUSED.__contains__)
        age = self._clock() - request.began_at
        if isinstance(error, PlatformRejected) and _FRESH < age < _NEVER_ARRIVED:
            # A repeat: what is refused now says nothing about the first call, whose number may yet come to light.
            return PlatformUnavailable(error.message, code=error.code)
        if error.code == "clock_skew" and age >= _NEVER_ARRIVED:
            return PlatformRejected(error.message, code="number_too_old")
        return error

    def query_refund(self, ref: RefundRef) -> RefundResult:
        message = wire.query(number=ref.refund_no, began_at=ref.began_at)
        return self._refund(self._client.call(self._endpoints.query_url, message), ref)

    async def query_refund_async(self, ref: RefundRef) -> RefundResult:
        message = wire.query(number=ref.refund_no, began_at=ref.began_at)
        return self._refund(await self._client.call_async(self._endpoints.query_url, message), ref)

    def _refund(self, answer: Mapping[str, str], ref: RefundRef) -> RefundResult:
        code = asked(answer)
        with http.ReadingAnswer():
            theirs = fields.optional(answer, "origQryId")
            if ref.platform_trade_no and theirs and theirs != ref.platform_trade_no:
                raise MalformedMessage("origQryId is another payment's")
            return wire.refund(answer, order_no=ref.order_no, code=code, near=ref.began_at)
