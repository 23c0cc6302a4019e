"""Refunds at WeChat Pay, and what becomes of those that the payer's card could not take.

Sources: WeChat Pay merchant documentation 4012791862 (refund), 4012791863 (query), 4012791903 (abnormal refund).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from apps.platforms import http
from apps.platforms.connectors.wechatpay import wire
from apps.platforms.connectors.wechatpay.base import WechatpayBase
from apps.platforms.gateway import (
    AbnormalRefund,
    MalformedMessage,
    PlatformRejected,
    PlatformUnavailable,
    RefundRef,
    RefundRequest,
    RefundResult,
)


class RefundCalls(WechatpayBase):
    """The part of the gateway that gives money back."""

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

    def settle_abnormal_refund(self, request: AbnormalRefund) -> RefundResult:
        """To the payer's other card, or to the merchant's own account, from where it must be returned by hand.

        Bank and holder are encrypted for the platform. The call is made once: what a second one would do is not documented.
        """
        message: dict[str, Any] = {
            "out_refund_no": request.refund_no,
            "type": "USER_BANK_CARD" if request.to_payer else "MERCHANT_BANK_CARD",
        }
        serial = ""
        if request.to_payer:
            if not (request.bank_type and request.bank_account and request.real_name):
                raise PlatformRejected("the payer's card is incomplete", code="card_missing")
            serial, (account, name) = self._client.seal(request.bank_account, request.real_name)
            message |= {
                "bank_type": request.bank_type,
                "bank_account": account,
                "real_name": name,
            }
        refund_id = quote(request.platform_refund_no, safe="")
        answer = self._client.call(
            "POST",
            f"/v3/refund/domestic/refunds/{refund_id}/apply-abnormal-refund",
            message,
            repeats=False,
            sealed_for=serial,
        )
        with http.ReadingAnswer():
            result = wire.refund(answer, self._ours)
            if result.refund_no != request.refund_no:
                raise MalformedMessage("the answer is about another refund")
        return result
