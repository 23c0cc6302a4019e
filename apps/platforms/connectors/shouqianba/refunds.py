"""Refunds by Shouqianba, which shows an order's latest transaction only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from apps.core.money import Money
from apps.platforms import fields, http
from apps.platforms.connectors.shouqianba import wire
from apps.platforms.connectors.shouqianba.base import ShouqianbaBase, order_in
from apps.platforms.connectors.shouqianba.client import trouble
from apps.platforms.gateway import (
    REFUND_NOT_SHOWN,
    OrderNotFound,
    Outcome,
    PlatformRejected,
    PlatformUnavailable,
    RefundRef,
    RefundRequest,
    RefundResult,
)


class RefundCalls(ShouqianbaBase):
    """The part of the gateway that gives money back."""

    def refund(self, request: RefundRequest) -> RefundResult:
        answer = self._client.call("/upay/v2/refund", wire.refund_order(request))
        if answer.result in wire.WAITING:
            return RefundResult(
                outcome=Outcome.PENDING,
                order_no=request.order_no,
                refund_no=request.refund_no,
                amount=request.amount,
                code=answer.code,
                message=answer.message,
            )
        echo = answer.refused and answer.error_code in wire.MAYBE_REFUNDED
        if (echo and request.repeated) or answer.error_code == wire.REFUNDED_BEFORE:
            return self._refused_refund(request, answer)
        if answer.result not in wire.DONE:
            raise trouble(answer)
        with http.ReadingAnswer():
            return wire.refund_made(answer.data, request)

    def _refused_refund(self, request: RefundRequest, answer: wire.Answer) -> RefundResult:
        """A refusal that this refund's own success may have caused: what the order says now decides."""
        ref = RefundRef(
            order_no=request.order_no,
            refund_no=request.refund_no,
            began_at=request.began_at,
            amount=request.amount,
            refunded_before=request.refunded_before,
        )
        asked = self._client.call("/upay/v2/query", _refund_question(ref))
        data = order_in(asked)
        with http.ReadingAnswer():
            shown = _shown(data, ref)
            among = wire.refund_among(data, amount=ref.amount, before=ref.refunded_before)
        if shown is not None:
            return shown if shown.amount is not None else replace(shown, amount=request.amount)
        if answer.error_code == wire.REFUNDED_BEFORE and among is not False:
            # Shouqianba says itself that this very refund is done, and nothing speaks against it.
            return _made_before(ref, code=answer.code)
        if among:
            return _made_before(ref, code=answer.code, assumes=ref.refunded_before)
        if among is None or answer.error_code == wire.REFUNDED_BEFORE:
            raise PlatformUnavailable(answer.message, code=answer.code)
        raise PlatformRejected(answer.message, code=answer.code)

    def query_refund(self, ref: RefundRef) -> RefundResult:
        """The query shows the order's latest transaction only; where that is another one, its sums may fit and still be
        another's, such as one made in the console.

        OrderNotFound asks for the refund to be sent again then: under the same number it is not made twice, and the answer
        is about this very refund.
        """
        return self._refund(self._client.call("/upay/v2/query", _refund_question(ref)), ref)

    async def query_refund_async(self, ref: RefundRef) -> RefundResult:
        answer = await self._client.call_async("/upay/v2/query", _refund_question(ref))
        return self._refund(answer, ref)

    def _refund(self, answer: wire.Answer, ref: RefundRef) -> RefundResult:
        data = order_in(answer)
        with http.ReadingAnswer():
            shown = _shown(data, ref)
            if shown is not None:
                return shown
            state = fields.text(data, "order_status")
        if state not in wire.SETTLED:
            # Asked and answered: only this order's refund waits, and nothing of the account.
            return RefundResult(
                outcome=Outcome.UNKNOWN,
                order_no=ref.order_no,
                refund_no=ref.refund_no,
                code=state,
            )
        raise OrderNotFound("this refund is not shown", code=REFUND_NOT_SHOWN)


def _refund_question(ref: RefundRef) -> dict[str, str]:
    # Not documented for a query; one client sends it and is shown this refund's transaction. Believed only by client_tsn.
    return {"client_sn": ref.order_no, "refund_request_no": wire.request_no(ref.refund_no)}


def _shown(data: Mapping[str, object], ref: RefundRef) -> RefundResult | None:
    if not wire.is_refund(data, order_no=ref.order_no, refund_no=ref.refund_no):
        return None
    return wire.refund_shown(
        data,
        order_no=ref.order_no,
        refund_no=ref.refund_no,
        asked=ref.amount,
        before=ref.refunded_before,
    )


def _made_before(ref: RefundRef, *, code: str, assumes: Money | None = None) -> RefundResult:
    return RefundResult(
        outcome=Outcome.SUCCEEDED,
        order_no=ref.order_no,
        refund_no=ref.refund_no,
        amount=ref.amount,
        assumes=assumes,
        code=code,
    )
