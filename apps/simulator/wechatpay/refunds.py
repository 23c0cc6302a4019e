"""Refunds (dossier A2, A4)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from apps.simulator import books, faults
from apps.simulator.models import Order, OrderState, Platform, Refund, RefundState
from apps.simulator.wechatpay import fields, objects
from apps.simulator.wechatpay.endpoint import Answer, Call, api
from apps.simulator.wechatpay.errors import ApiError, param_error

MAX_REFUNDS = 50
WINDOW = timedelta(days=365)


def _order_of(call: Call) -> Order:
    body = call.body
    transaction_id = body.get("transaction_id", "")
    out_trade_no = body.get("out_trade_no", "")
    if not transaction_id and not out_trade_no:
        raise param_error("/out_trade_no", "transaction_id与out_trade_no二选一必填")
    if transaction_id:
        order = books.order_by_trade_no(merchant=call.merchant, trade_no=transaction_id)
    else:
        order = books.order_by_no(merchant=call.merchant, out_trade_no=out_trade_no)
    if order is not None and out_trade_no and order.out_trade_no != out_trade_no:
        raise ApiError(400, "INVALID_REQUEST", "微信订单号与商户订单号不匹配")
    if order is None or order.state != OrderState.PAID:
        raise ApiError(404, "RESOURCE_NOT_EXISTS", "订单不存在或未支付")
    return order


def _find(call: Call, out_refund_no: str) -> Refund | None:
    return (
        Refund.objects.select_related("order__merchant")
        .filter(merchant=call.merchant, out_refund_no=out_refund_no)
        .first()
    )


def _shown(call: Call, refund: Refund) -> Answer:
    books.settle_due(now=call.now, order=refund.order)
    refund.refresh_from_db()
    return Answer(payload=objects.refund_object(refund))


def _repeat(call: Call, order: Order, refund: Refund) -> Answer:
    """The same number again: the same refund if it is the same request, else an error."""
    amount = call.body["amount"]
    if refund.order_id != order.pk or refund.amount_fen != amount["refund"]:
        raise ApiError(400, "INVALID_REQUEST", "订单金额或退款金额与之前请求不一致，请核实后再试")
    return _shown(call, refund)


def _check_gap(call: Call, order: Order) -> None:
    """The fault refund_gap: partial refunds of one order need a minute between them."""
    last = order.refunds.order_by("-created_at", "-pk").first()
    if last is None:
        return
    gap = faults.take("refund_gap", platform=Platform.WECHATPAY, path=call.request.path)
    if gap is not None and call.now - last.created_at < timedelta(seconds=float(gap["seconds"])):
        raise ApiError(429, "FREQUENCY_LIMITED", "同一笔订单的多次部分退款请间隔1分钟以上")


@api("POST")
def create(call: Call) -> Answer:
    """POST /v3/refund/domestic/refunds: accepted (PROCESSING), not done."""
    fields.check(fields.REFUND, call.body)
    body = call.body
    notify_url = body.get("notify_url", "")
    if notify_url:
        fields.check_notify_url(notify_url)
    order = _order_of(call)
    amount = body["amount"]
    if amount["total"] != order.amount_fen:
        raise ApiError(400, "INVALID_REQUEST", "订单金额或退款金额与之前请求不一致，请核实后再试")
    existing = _find(call, body["out_refund_no"])
    if existing is not None:
        return _repeat(call, order, existing)
    if order.paid_at is not None and call.now - order.paid_at > WINDOW:
        raise ApiError(403, "RULE_LIMIT", "交易已超过可退款期限")
    if order.refunds.count() >= MAX_REFUNDS:
        raise ApiError(403, "RULE_LIMIT", "一笔订单最多支持50次部分退款")
    path = call.request.path
    _check_gap(call, order)
    if faults.take("not_enough", platform=Platform.WECHATPAY, path=path) is not None:
        raise ApiError(403, "NOT_ENOUGH", "基本账户余额不足，请充值后重新发起")
    try:
        refund = books.create_refund(
            order=order,
            out_refund_no=body["out_refund_no"],
            amount_fen=amount["refund"],
            now=call.now,
            reason=body.get("reason", ""),
            notify_url=notify_url,
            unique_in_merchant=True,
            request=body,
        )
    except books.NotRefundable as error:
        if error.reason == "over":
            raise ApiError(400, "INVALID_REQUEST", "申请退款金额大于可退金额") from error
        raced = _find(call, body["out_refund_no"])
        if raced is None:
            raise ApiError(404, "RESOURCE_NOT_EXISTS", "订单不存在或未支付") from error
        return _repeat(call, order, raced)
    return Answer(payload=objects.refund_object(refund))


@api("GET")
def query(call: Call, *, out_refund_no: str) -> Answer:
    """GET /v3/refund/domestic/refunds/{out_refund_no}."""
    refund = _find(call, out_refund_no)
    if refund is None:
        raise ApiError(404, "RESOURCE_NOT_EXISTS", "退款单不存在")
    return _shown(call, refund)


@api("POST")
def apply_abnormal(call: Call, *, refund_id: str) -> Answer:
    """POST …/{refund_id}/apply-abnormal-refund: an ABNORMAL refund is sent elsewhere.

    To the payer's card its three particulars are needed, two of them sealed; to the merchant's card none.
    """
    fields.check(fields.ABNORMAL_REFUND, call.body)
    received_by = _card(call)
    refund = _find(call, call.body["out_refund_no"])
    if refund is None or refund.refund_no != refund_id:
        raise ApiError(404, "RESOURCE_NOT_EXISTS", "退款单不存在")
    if refund.state != RefundState.ABNORMAL:
        raise ApiError(400, "INVALID_REQUEST", "退款单状态不是退款异常，不能发起异常退款")
    refund.request = {**refund.request, objects.RECEIVED_BY: received_by}
    refund.save(update_fields=["request"])
    try:
        refund = books.rescue_refund(refund=refund, now=call.now)
    except books.NotRefundable as error:
        raise ApiError(400, "INVALID_REQUEST", "退款单状态已变化") from error
    return Answer(payload=objects.refund_object(refund))


def _card(call: Call) -> str:
    """Where the money goes, as refunds show it: the bank and the card's last four digits. Raises ApiError."""
    body: dict[str, Any] = call.body
    if body["type"] == "MERCHANT_BANK_CARD":
        return "商户银行卡"
    opened: dict[str, str] = {}
    for name in ("bank_type", "bank_account", "real_name"):
        if not body.get(name):
            raise param_error(f"/{name}", "退款至用户银行卡时必填")
        opened[name] = body[name] if name == "bank_type" else call.opened(f"/{name}", body[name])
    number = opened["bank_account"]
    if not number.isascii() or not number.isdigit() or not 12 <= len(number) <= 24:
        raise param_error("/bank_account", "银行卡号格式错误")
    if not opened["real_name"].strip():
        raise param_error("/real_name", "收款人姓名为空")
    return f"{opened['bank_type']}{number[-4:]}"
