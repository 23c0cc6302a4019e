"""Alipay messages to and from our dataclasses: yuan with two decimals, naive times that are Beijing's.

Sources: Alipay open platform documentation of alipay.trade.precreate, wap.pay, create, pay, query, close, cancel, refund,
fastpay.refund.query and of asynchronous notices. Every reader raises MalformedMessage when a field that decides about money is missing or not
ours.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from apps.core.clock import CHINA
from apps.core.money import InvalidAmount, Money
from apps.platforms.fields import load_object, optional, text
from apps.platforms.gateway import (
    BarcodeRequest,
    CreateRequest,
    Credentials,
    MalformedMessage,
    Notification,
    NotificationKind,
    Outcome,
    PaymentResult,
    Product,
    RefundRequest,
    RefundResult,
)

#: The payer is typing the password (order success pay inprocess).
WAITING = "10003"

_UNWANTED = re.compile(r"[/=&\ud800-\udfff\x00-\x1f\x7f]")
_STATES = {
    "WAIT_BUYER_PAY": Outcome.PENDING,
    "TRADE_SUCCESS": Outcome.SUCCEEDED,
    "TRADE_FINISHED": Outcome.SUCCEEDED,
    "TRADE_CLOSED": Outcome.CLOSED,
}


def clean(text: str, limit: int) -> str:
    """Text as the platform takes it: without ``/ = &`` and control characters, at most ``limit`` characters."""
    return " ".join(_UNWANTED.sub(" ", text).split())[:limit].strip()


def to_beijing(at: datetime) -> str:
    """An aware time as ``2026-05-01 09:30:00``."""
    return at.astimezone(CHINA).strftime("%Y-%m-%d %H:%M:%S")


def dump(message: Mapping[str, Any]) -> str:
    """The JSON text of ``biz_content``."""
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"))


def load(text: str) -> dict[str, Any]:
    """Read an inner object. Raises MalformedMessage."""
    return load_object(text)


def order(request: CreateRequest) -> dict[str, Any]:
    """``biz_content`` of a new payment: a code to be scanned, or the cashier page in a phone's browser."""
    biz = {
        **_trade(request),
        "product_code": "QUICK_WAP_WAY",
        "time_expire": to_beijing(request.expires_at),
    }
    if request.product is Product.DYNAMIC_QR:
        biz["product_code"] = "FACE_TO_FACE_PAYMENT"
    elif request.return_url:
        biz["quit_url"] = request.return_url
    return biz


def in_app_order(request: CreateRequest, ours: Credentials) -> dict[str, Any]:
    """``biz_content`` of a trade that the wallet's own script opens for the payer who is known (JSAPI)."""
    payer = "buyer_id" if re.fullmatch(r"2088\d{12}", request.payer_id) else "buyer_open_id"
    return {
        **_trade(request),
        "product_code": "JSAPI_PAY",
        "op_app_id": ours.app_id,
        payer: request.payer_id,
        "time_expire": to_beijing(request.expires_at),
    }


def barcode_order(request: BarcodeRequest) -> dict[str, Any]:
    """``biz_content`` of a payment by the payer's code."""
    biz = {
        **_trade(request),
        "scene": "bar_code",
        "auth_code": request.auth_code,
        "product_code": "FACE_TO_FACE_PAYMENT",
        "time_expire": to_beijing(request.expires_at),
    }
    if request.operator:
        biz["operator_id"] = request.operator[:28]
    return biz


def _trade(request: CreateRequest | BarcodeRequest) -> dict[str, Any]:
    biz: dict[str, Any] = {
        "out_trade_no": request.order_no,
        "total_amount": request.amount.to_yuan(),
        "subject": clean(request.subject, 256) or request.order_no,
    }
    if request.store_ref:
        biz["store_id"] = request.store_ref[:32]
    if request.terminal_ref:
        biz["terminal_id"] = request.terminal_ref[:32]
    return biz


def refund_order(request: RefundRequest) -> dict[str, Any]:
    """``biz_content`` of a refund: always with our number, without which a part could not be refunded twice."""
    biz: dict[str, Any] = {
        "out_trade_no": request.order_no,
        "refund_amount": request.amount.to_yuan(),
        "out_request_no": request.refund_no,
        "query_options": ["gmt_refund_pay"],
    }
    reason = clean(request.reason, 256)
    if reason:
        biz["refund_reason"] = reason
    return biz


def payment(
    message: Mapping[str, Any],
    *,
    order_no: str | None = None,
    product: Product = Product.DYNAMIC_QR,
) -> PaymentResult:
    """A trade, from a query or from a notice.

    A closed trade that was once paid is a payment made and refunded; one by the payer's code was reversed: CLOSED, with
    what was given back in ``refunded``.
    """
    state = text(message, "trade_status")
    outcome = _STATES.get(state, Outcome.UNKNOWN)
    paid_at = _time(optional(message, "send_pay_date") or optional(message, "gmt_payment"))
    refunded = _yuan(message, "refund_fee") if optional(message, "refund_fee") else None
    amount = _yuan(message, "total_amount")
    if state == "TRADE_CLOSED" and (
        paid_at or optional(message, "gmt_refund") or (refunded and refunded.minor)
    ):
        if product is Product.BARCODE:
            refunded = amount
        else:
            outcome = Outcome.SUCCEEDED
    payer, masked = _payer(message)
    return PaymentResult(
        outcome=outcome,
        order_no=_number(message, order_no),
        platform_trade_no=text(message, "trade_no"),
        amount=amount,
        payer_id=payer,
        payer_masked=masked,
        paid_at=paid_at,
        refunded=refunded,
        code=state,
        payload=_redacted(message),
    )


def barcode_payment(message: Mapping[str, Any], request: BarcodeRequest) -> PaymentResult:
    """The answer to a payment by the payer's code: paid (10000), or waiting for the password (10003)."""
    number = _number(message, request.order_no)
    if message.get("code") == WAITING:
        return PaymentResult(
            outcome=Outcome.PENDING,
            order_no=number,
            platform_trade_no=optional(message, "trade_no") or None,
            code=WAITING,
            payload=_redacted(message),
        )
    amount = _yuan(message, "total_amount")
    if amount != request.amount:
        raise MalformedMessage("total_amount is another one")
    paid_at = _time(text(message, "gmt_payment"))
    payer, masked = _payer(message)
    return PaymentResult(
        outcome=Outcome.SUCCEEDED,
        order_no=number,
        platform_trade_no=text(message, "trade_no"),
        amount=amount,
        payer_id=payer,
        payer_masked=masked,
        paid_at=paid_at,
        code="TRADE_SUCCESS",
        payload=_redacted(message),
    )


def reversal(message: Mapping[str, Any], *, order_no: str) -> PaymentResult:
    """The answer to a reversal: CLOSED, or PENDING where it asks to be called again."""
    number = _number(message, order_no)
    again = optional(message, "retry_flag") == "Y"
    return PaymentResult(
        outcome=Outcome.PENDING if again else Outcome.CLOSED,
        order_no=number,
        platform_trade_no=optional(message, "trade_no") or None,
        # ``close`` or ``refund``: whether something had been taken.
        code=optional(message, "action") or "cancel",
        payload=_redacted(message),
    )


def _number(message: Mapping[str, Any], order_no: str | None) -> str:
    number = text(message, "out_trade_no")
    if order_no is not None and number != order_no:
        raise MalformedMessage("out_trade_no is another one")
    return number


def _payer(message: Mapping[str, Any]) -> tuple[str | None, str]:
    """The payer's id, and the log-in as the platform masks it (159****5620)."""
    names = ("buyer_id", "buyer_user_id", "buyer_open_id", "open_id")
    payer = next((found for name in names if (found := optional(message, name))), None)
    return payer, _masked(optional(message, "buyer_logon_id"))


def notification(fields: Mapping[str, str], ours: Credentials) -> Notification:
    """A verified notice. Refunds are told through the payment's notice, with the refunds' total so far."""
    if fields.get("app_id") != ours.app_id:
        raise MalformedMessage("app_id is not ours")
    if fields.get("seller_id", ours.merchant_no) != ours.merchant_no:
        raise MalformedMessage("seller_id is not ours")
    if fields.get("notify_type", "trade_status_sync") != "trade_status_sync":
        key = f"{fields['notify_type']}:{text(fields, 'notify_id')}"
        return Notification(kind=NotificationKind.OTHER, dedup_key=key)
    result = payment(fields)
    refund_no = fields.get("out_biz_no", "")
    refunded = fields.get("refund_fee", "")
    key = ":".join((result.platform_trade_no or "", result.code, refund_no, refunded))
    if not refund_no or not (refunded or fields.get("gmt_refund")):
        return Notification(kind=NotificationKind.PAYMENT, dedup_key=key, payment=result)
    refund = RefundResult(
        outcome=Outcome.SUCCEEDED,
        order_no=result.order_no,
        refund_no=refund_no,
        # refund_fee is the sum of all refunds of the trade, so the amount of this one is not said.
        amount=None,
        refunded_at=_time(fields.get("gmt_refund", "")),
        code=result.code,
        payload=result.payload,
    )
    return Notification(kind=NotificationKind.REFUND, dedup_key=key, payment=result, refund=refund)


def refund_made(message: Mapping[str, Any], request: RefundRequest) -> RefundResult | None:
    """The result in the answer to a refund, or None when it does not say that this call moved money."""
    if text(message, "out_trade_no") != request.order_no:
        raise MalformedMessage("out_trade_no is another one")
    if optional(message, "fund_change") != "Y":
        return None
    if optional(message, "refund_fee") and _yuan(message, "refund_fee") < request.amount:
        raise MalformedMessage("less was refunded than asked")
    return RefundResult(
        outcome=Outcome.SUCCEEDED,
        order_no=request.order_no,
        refund_no=request.refund_no,
        amount=request.amount,
        refunded_at=_time(optional(message, "gmt_refund_pay")),
        code="REFUND_SUCCESS",
        payload=_redacted(message),
    )


def refund(message: Mapping[str, Any], *, order_no: str, refund_no: str) -> RefundResult | None:
    """The result of a refund query, or None when the platform knows no such refund (or it failed)."""
    state = optional(message, "refund_status")
    if not state:
        # Not received, or failed: an answer without a state may still repeat the trade's own figures.
        return None
    if text(message, "out_trade_no") != order_no:
        raise MalformedMessage("out_trade_no is another one")
    if text(message, "out_request_no") != refund_no:
        raise MalformedMessage("out_request_no is another one")
    outcome = {"REFUND_SUCCESS": Outcome.SUCCEEDED, "REFUND_PROCESSING": Outcome.PENDING}
    return RefundResult(
        outcome=outcome.get(state, Outcome.UNKNOWN),
        order_no=order_no,
        refund_no=refund_no,
        amount=_yuan(message, "refund_amount"),
        refunded_at=_time(optional(message, "gmt_refund_pay")),
        code=state,
        payload=_redacted(message),
    )


def _yuan(message: Mapping[str, Any], name: str) -> Money:
    try:
        amount = Money.from_yuan(text(message, name))
    except InvalidAmount as error:
        raise MalformedMessage(f"{name} is no amount in yuan") from error
    if amount.minor < 0:
        raise MalformedMessage(f"{name} is negative")
    return amount


def _time(value: str) -> datetime | None:
    if not value:
        return None
    try:
        # Some notices carry fractions of a second.
        at = datetime.strptime(value[:19], "%Y-%m-%d %H:%M:%S").replace(tzinfo=CHINA)
    except ValueError as error:
        raise MalformedMessage("a time that is no time") from error
    return at.astimezone(UTC)


def _masked(logon_id: str) -> str:
    """The buyer's log-in as the platform masks it; should it come unmasked, only its ends."""
    if "*" in logon_id or not logon_id:
        return logon_id
    return f"{logon_id[:3]}***{logon_id[-2:]}" if len(logon_id) > 6 else "***"


def _redacted(message: Mapping[str, Any]) -> dict[str, Any]:
    shown = {
        "code",
        "msg",
        "sub_code",
        "sub_msg",
        "trade_no",
        "out_trade_no",
        "out_request_no",
        "out_biz_no",
        "trade_status",
        "total_amount",
        "receipt_amount",
        "buyer_pay_amount",
        "invoice_amount",
        "point_amount",
        "send_pay_date",
        "gmt_create",
        "gmt_payment",
        "gmt_refund",
        "gmt_refund_pay",
        "gmt_close",
        "refund_fee",
        "refund_amount",
        "refund_status",
        "fund_change",
        "send_back_fee",
        "fund_bill_list",
        "notify_id",
        "notify_time",
        "store_id",
        "terminal_id",
        "retry_flag",
        "action",
    }
    return {name: value for name, value in message.items() if name in shown}
