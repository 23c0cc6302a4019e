"""Orders and refunds as WeChat Pay shows them (dossier A2)."""

from __future__ import annotations

from typing import Any

from apps.simulator.clock import rfc3339
from apps.simulator.models import Order, OrderState, Product, Refund, RefundState

TRADE_TYPES: dict[str, str] = {
    Product.JSAPI: "JSAPI",
    Product.NATIVE: "NATIVE",
    Product.H5: "MWEB",
    Product.BARCODE: "MICROPAY",
}

_STATE_TEXTS = {
    "NOTPAY": "订单未支付",
    "SUCCESS": "支付成功",
    "REFUND": "订单发生过退款，退款详情请查询退款单",
    "CLOSED": "订单已关闭",
    "USERPAYING": "用户支付中，需要输入密码",
    "PAYERROR": "支付失败，请撤销订单",
    "REVOKED": "订单已撤销",
}

#: What ``Order.extra`` says of a barcode order that was reversed.
REVERSED = "reversed"
#: What ``Refund.request`` says of an abnormal refund that went to a card: which.
RECEIVED_BY = "received_by"


def trade_state(order: Order) -> str:
    """NOTPAY, CLOSED, SUCCESS, or REFUND once any refund was accepted, however small.

    A barcode order is USERPAYING while the payer types a password, PAYERROR if nothing came of it, REVOKED once reversed.
    """
    if order.product == Product.BARCODE:
        if order.extra.get(REVERSED):
            return "REVOKED"
        if order.state == OrderState.WAITING:
            return "USERPAYING"
        if order.state == OrderState.CLOSED:
            return "PAYERROR"
    if order.state == OrderState.PAID:
        return "REFUND" if order.refunds.exists() else "SUCCESS"
    return "CLOSED" if order.state == OrderState.CLOSED else "NOTPAY"


def trade_type(order: Order) -> str:
    """The product's name on this platform; H5 is MWEB."""
    return TRADE_TYPES.get(order.product, order.product.upper())


def transaction(order: Order, *, state: str | None = None) -> dict[str, Any]:
    """The transaction object of queries and notices; ``state`` overrides the trade state."""
    shown = state or trade_state(order)
    body: dict[str, Any] = {
        "appid": order.merchant.app_id,
        "mchid": order.merchant.merchant_no,
        "out_trade_no": order.out_trade_no,
        "trade_state": shown,
        "trade_state_desc": _STATE_TEXTS[shown],
        "promotion_detail": [],
    }
    if order.attach:
        body["attach"] = order.attach
    device = (order.request.get("scene_info") or {}).get("device_id")
    if device:
        body["scene_info"] = {"device_id": device}
    amount: dict[str, Any] = {"total": order.amount_fen, "currency": order.currency}
    if order.state == OrderState.PAID and order.paid_at is not None:
        body |= {
            "transaction_id": order.trade_no,
            "trade_type": trade_type(order),
            "bank_type": "OTHERS",
            "success_time": rfc3339(order.paid_at),
            "payer": {"openid": order.payer_id},
        }
        amount |= {"payer_total": order.amount_fen, "payer_currency": order.currency}
    body["amount"] = amount
    return body


def refund_amounts(refund: Refund) -> dict[str, Any]:
    """The amount object of a refund, complete."""
    order = refund.order
    return {
        "total": order.amount_fen,
        "refund": refund.amount_fen,
        "from": [],
        "payer_total": order.amount_fen,
        "payer_refund": refund.amount_fen,
        "settlement_refund": refund.amount_fen,
        "settlement_total": order.amount_fen,
        "discount_refund": 0,
        "currency": order.currency,
        "refund_fee": refund.fee_fen,
    }


def refund_object(refund: Refund) -> dict[str, Any]:
    """The refund object of the refund call and its query."""
    order = refund.order
    body: dict[str, Any] = {
        "refund_id": refund.refund_no,
        "out_refund_no": refund.out_refund_no,
        "transaction_id": order.trade_no,
        "out_trade_no": order.out_trade_no,
        "channel": "OTHER_BANKCARD" if refund.request.get(RECEIVED_BY) else "ORIGINAL",
        "user_received_account": refund.request.get(RECEIVED_BY) or "支付用户零钱",
        "create_time": rfc3339(refund.created_at),
        "status": refund.state,
        "funds_account": refund.request.get("funds_account") or "AVAILABLE",
        "amount": refund_amounts(refund),
        "promotion_detail": [],
    }
    if refund.state == RefundState.SUCCESS and refund.finished_at is not None:
        body["success_time"] = rfc3339(refund.finished_at)
    return body


def refund_notice(refund: Refund) -> dict[str, Any]:
    """The plaintext of a refund notice: ``refund_status``, not ``status``."""
    order = refund.order
    body: dict[str, Any] = {
        "mchid": order.merchant.merchant_no,
        "out_trade_no": order.out_trade_no,
        "transaction_id": order.trade_no,
        "out_refund_no": refund.out_refund_no,
        "refund_id": refund.refund_no,
        "refund_status": refund.state,
        "user_received_account": refund.request.get(RECEIVED_BY) or "支付用户零钱",
        "amount": {
            "total": order.amount_fen,
            "refund": refund.amount_fen,
            "payer_total": order.amount_fen,
            "payer_refund": refund.amount_fen,
        },
    }
    if refund.state == RefundState.SUCCESS and refund.finished_at is not None:
        body["success_time"] = rfc3339(refund.finished_at)
    return body
