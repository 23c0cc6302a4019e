"""Refunds at Alipay. Whether money moved by this very call is told by ``fund_change``; a repeat moves none.

Source: Alipay open platform documentation of alipay.trade.refund and alipay.trade.fastpay.refund.query.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from apps.platforms import http
from apps.platforms.connectors.alipay import wire
from apps.platforms.connectors.alipay.base import AlipayBase
from apps.platforms.gateway import (
    OrderNotFound,
    PlatformUnavailable,
    RefundRef,
    RefundRequest,
    RefundResult,
)

_REFUND_QUERY = "alipay.trade.fastpay.refund.query"


class RefundCalls(AlipayBase):
    """The part of the gateway that gives money back."""

    def refund(self, request: RefundRequest) -> RefundResult:
        answer = self._client.call("alipay.trade.refund", wire.refund_order(request))
        with http.ReadingAnswer():
            result = wire.refund_made(answer, request)
        if result is not None:
            return result
        # No money moved by this very call: a repeat of one that did, or not yet known.
        try:
            result = self._refund(
                self._client.call(
                    _REFUND_QUERY, self._refund_query(request.order_no, request.refund_no)
                ),
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
        answer = self._client.call(_REFUND_QUERY, self._refund_query(ref.order_no, ref.refund_no))
        return self._refund(answer, ref.order_no, ref.refund_no)

    async def query_refund_async(self, ref: RefundRef) -> RefundResult:
        biz = self._refund_query(ref.order_no, ref.refund_no)
        answer = await self._client.call_async(_REFUND_QUERY, biz)
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
