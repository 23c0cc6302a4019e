"""The payer's code at the till, and the reversal of what came of it (dossier A1.4).

Whether a given merchant may call these v3 addresses, and the error codes for a bad code, are UNVERIFIED: the code is
refused as the older interface refuses it (AUTH_CODE_INVALID), and a payer without money makes a PAYERROR.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db import transaction

from apps.simulator import books, paycodes
from apps.simulator.models import Order, OrderState, PayCode, Platform, Product
from apps.simulator.wechatpay import fields, objects
from apps.simulator.wechatpay.endpoint import Answer, Call, api
from apps.simulator.wechatpay.errors import ApiError, param_error
from apps.simulator.wechatpay.orders import check_identity

#: How long the payer may take to type the password.
PASSWORD_TIME = timedelta(seconds=60)
#: Later than this a barcode payment can only be refunded.
REVERSAL_WINDOW = timedelta(days=7)
_CODE_PROBLEMS = {
    "unknown": "101 付款码无效，请重新扫码",
    "expired": "101 付款码已过期，请退出重试",
    "used": "101 每个二维码仅限使用一次，请刷新再试",
}


@api("POST")
def codepay(call: Call) -> Answer:
    """POST /v3/pay/transactions/codepay -> the transaction: SUCCESS, USERPAYING or PAYERROR.

    While the payer types a password nothing but the trade state is answered, as merchants report of the real one.
    A code that cannot be taken leaves no order behind. There is no notice of a barcode payment.
    """
    fields.check(fields.CODE_ORDER, call.body)
    check_identity(call)
    store = call.body["scene_info"]["store_info"]
    if not store.get("id") and not store.get("out_id"):
        raise param_error("/scene_info/store_info/id", "id与out_id二选一必填")
    digits = call.body["payer"]["auth_code"]
    if not paycodes.PATTERNS[Platform.WECHATPAY].fullmatch(digits):
        raise param_error("/payer/auth_code", "请扫描微信支付付款码（以10至15开头的18位数字）")
    known = books.order_by_no(merchant=call.merchant, out_trade_no=call.body["out_trade_no"])
    if known is not None:
        return _shown(_again(call, books.refresh(order=known, now=call.now)))
    try:
        order, code = _taken(call, digits)
    except books.OrderNumberUsed:  # two calls at the same moment
        raise ApiError(403, "OUT_TRADE_NO_USED", "商户订单号重复") from None
    if not paycodes.pays_at_once(code):
        return _shown(order)
    try:
        order = books.pay_order(order=order, payer=paycodes.payer_of(code), now=call.now)
    except books.NotPayable as refusal:
        order = books.fail_order(order=order, code=refusal.reason, now=call.now)
    return _shown(order)


def _facts(body: dict[str, Any]) -> dict[str, Any]:
    """What identifies an order; the payer's code is a secret, and another one each time."""
    return {name: value for name, value in body.items() if name != "payer"}


def _again(call: Call, order: Order) -> Order:
    """The same number a second time: the same order while it is open, an error otherwise. Raises ApiError."""
    if order.product != Product.BARCODE or order.request != _facts(call.body):
        raise ApiError(403, "OUT_TRADE_NO_USED", "商户订单号重复，且请求参数与首次下单不一致")
    if order.state == OrderState.PAID:
        raise ApiError(400, "INVALID_REQUEST", "该订单已支付")
    if order.state == OrderState.CLOSED:
        raise ApiError(400, "ORDER_CLOSED", "订单已结束，请使用新的商户订单号")
    return order


@transaction.atomic
def _taken(call: Call, digits: str) -> tuple[Order, PayCode]:
    """The new order with the payer's code used up for it: both or neither. Raises ApiError, books.OrderNumberUsed."""
    body = call.body
    order = books.create_order(
        merchant=call.merchant,
        product=Product.BARCODE,
        out_trade_no=body["out_trade_no"],
        amount_fen=body["amount"]["total"],
        now=call.now,
        expires_at=call.now + PASSWORD_TIME,
        description=body["description"],
        attach=body.get("attach", ""),
        request=_facts(body),
    )
    try:
        code = paycodes.take(digits=digits, wallet=Platform.WECHATPAY, order=order, now=call.now)
    except paycodes.CodeRefused as refusal:
        raise ApiError(400, "AUTH_CODE_INVALID", _CODE_PROBLEMS[refusal.reason]) from None
    return order, code


def _shown(order: Order) -> Answer:
    told = objects.transaction(order)
    if told["trade_state"] == "USERPAYING":
        return Answer(payload={"trade_state": "USERPAYING"})
    return Answer(payload=told)


@api("POST")
def reverse(call: Call, *, out_trade_no: str) -> Answer:
    """POST …/reverse: an order that is not paid ends, a paid one is given back whole. Repeating it is harmless."""
    fields.check(fields.REVERSE, call.body)
    check_identity(call)
    order = books.order_by_no(merchant=call.merchant, out_trade_no=out_trade_no)
    if order is None:
        raise ApiError(404, "ORDER_NOT_EXIST", "订单不存在")
    if order.product != Product.BARCODE:
        raise ApiError(400, "INVALID_REQUEST", "仅付款码支付的订单可以撤销，请使用关单或退款")
    if call.now - order.created_at > REVERSAL_WINDOW:
        raise ApiError(400, "INVALID_REQUEST", "订单已超过可撤销的期限，请使用退款")
    try:
        books.reverse_order(order=order, now=call.now)
    except books.NotRefundable as refusal:
        raise ApiError(400, "INVALID_REQUEST", "订单已发生退款，不能撤销") from refusal
    return Answer(
        payload={
            "appid": call.merchant.app_id,
            "mchid": call.merchant.merchant_no,
            "out_trade_no": out_trade_no,
        }
    )
