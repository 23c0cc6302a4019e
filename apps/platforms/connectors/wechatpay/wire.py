"""WeChat Pay messages to and from our dataclasses: JSON, fen, RFC 3339 times with Beijing's offset.

Sources: WeChat Pay merchant documentation, orders 4012791856, queries 4012791858, refunds 4012791862, payers' codes
(code-payment-v3). Every reader raises MalformedMessage when a field that decides about money is missing or is not ours.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from apps.core.clock import CHINA
from apps.core.money import CNY, Money
from apps.platforms.fields import load_object, optional, text
from apps.platforms.gateway import (
    BarcodeRequest,
    CreateRequest,
    Credentials,
    MalformedMessage,
    Outcome,
    PaymentResult,
    Product,
    RefundRequest,
    RefundResult,
)

#: Characters beyond the basic plane are refused by the platform, control characters break its pages.
_UNWANTED = re.compile(r"[\U00010000-\U0010ffff\ud800-\udfff\x00-\x1f\x7f]")

PAYMENT_OUTCOMES = {
    "NOTPAY": Outcome.PENDING,
    "USERPAYING": Outcome.PENDING,
    "ACCEPT": Outcome.PENDING,
    "SUCCESS": Outcome.SUCCEEDED,
    # Said after a part was refunded as well: the payment itself stays made.
    "REFUND": Outcome.SUCCEEDED,
    "CLOSED": Outcome.CLOSED,
    "REVOKED": Outcome.CLOSED,
    "PAYERROR": Outcome.FAILED,
}
REFUND_OUTCOMES = {
    "PROCESSING": Outcome.PENDING,
    # The payer's card is dead: a person must choose another account on the merchant platform.
    "ABNORMAL": Outcome.PENDING,
    "SUCCESS": Outcome.SUCCEEDED,
    "CLOSED": Outcome.CLOSED,
}


def clean(text: str, limit: int) -> str:
    """Text as the platform takes it: no emoji, no control characters, at most ``limit`` characters."""
    return " ".join(_UNWANTED.sub(" ", text).split())[:limit].strip()


def to_beijing(at: datetime) -> str:
    """An aware time as ``2018-06-08T10:34:56+08:00``."""
    return at.astimezone(CHINA).isoformat(timespec="seconds")


def dump(message: Mapping[str, Any]) -> str:
    """The JSON text that is signed and sent."""
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"))


def load(body: bytes) -> dict[str, Any]:
    """Read a JSON object. Raises MalformedMessage."""
    return load_object(body)


def order(request: CreateRequest, ours: Credentials) -> dict[str, Any]:
    """The body that opens an order; fields without a value are left out, since blanks break the cashier."""
    body: dict[str, Any] = {
        "appid": ours.app_id,
        "mchid": ours.merchant_no,
        "description": clean(request.subject, 127) or request.order_no,
        "out_trade_no": request.order_no,
        "time_expire": to_beijing(request.expires_at),
        "notify_url": request.notify_url,
        "amount": {"total": request.amount.minor, "currency": request.amount.currency},
    }
    if request.product is Product.IN_APP:
        body["payer"] = {"openid": request.payer_id}
    elif request.product is Product.BROWSER:
        body["scene_info"] = {"payer_client_ip": request.client_ip, "h5_info": {"type": "Wap"}}
    return body


def barcode_order(request: BarcodeRequest, ours: Credentials) -> dict[str, Any]:
    """The body of a payment by the payer's code. The platform sends no notice of such payments."""
    scene: dict[str, Any] = {}
    if request.store_ref:
        # Our own number of the store; ``id`` would be one that WeChat Pay gave it.
        scene["store_info"] = {"out_id": request.store_ref[:32]}
    if request.terminal_ref:
        scene["device_id"] = request.terminal_ref[:32]
    if request.client_ip:
        scene["device_ip"] = request.client_ip
    return {
        "appid": ours.app_id,
        "mchid": ours.merchant_no,
        "description": clean(request.subject, 127) or request.order_no,
        "out_trade_no": request.order_no,
        "payer": {"auth_code": request.auth_code},
        "amount": {"total": request.amount.minor, "currency": request.amount.currency},
        # The platform asks for one of the two.
        "scene_info": scene if "store_info" in scene else {**scene, "store_info": {"out_id": "1"}},
    }


def refund_order(request: RefundRequest) -> dict[str, Any]:
    """The body of a refund. Always by our order number, so that a repeat is the same to the letter."""
    body: dict[str, Any] = {
        "out_trade_no": request.order_no,
        "out_refund_no": request.refund_no,
        "notify_url": request.notify_url,
        "amount": {
            "refund": request.amount.minor,
            "total": request.order_amount.minor,
            "currency": request.amount.currency,
        },
    }
    reason = clean(request.reason, 80)
    if reason:
        body["reason"] = reason
    return body


def payment(message: Mapping[str, Any], ours: Credentials) -> PaymentResult:
    """A transaction, from a query or from a notice."""
    _same(message, "mchid", ours.merchant_no)
    _same(message, "appid", ours.app_id)
    state = text(message, "trade_state")
    outcome = PAYMENT_OUTCOMES.get(state, Outcome.UNKNOWN)
    amount: Money | None = None
    if message.get("amount") is not None:
        amount = _fen(message["amount"], "total")
    trade_no = optional(message, "transaction_id") or None
    paid_at = _time(optional(message, "success_time"))
    if outcome is Outcome.SUCCEEDED:
        if amount is None or trade_no is None:
            raise MalformedMessage("a paid order without amount or transaction_id")
        if paid_at is None and state == "SUCCESS":
            raise MalformedMessage("a paid order without success_time")
    payer = message.get("payer")
    openid = optional(payer, "openid") if isinstance(payer, Mapping) else ""
    return PaymentResult(
        outcome=outcome,
        order_no=text(message, "out_trade_no"),
        platform_trade_no=trade_no,
        amount=amount,
        payer_id=openid or None,
        payer_masked=_masked(openid),
        paid_at=paid_at,
        code=state,
        message=optional(message, "trade_state_desc"),
        payload=_redacted(message),
    )


def refund(message: Mapping[str, Any], ours: Credentials) -> RefundResult:
    """A refund, from an answer (``status``) or from a notice (``refund_status``)."""
    if "mchid" in message:
        _same(message, "mchid", ours.merchant_no)
    state = optional(message, "refund_status") or text(message, "status")
    return RefundResult(
        outcome=REFUND_OUTCOMES.get(state, Outcome.UNKNOWN),
        order_no=text(message, "out_trade_no"),
        refund_no=text(message, "out_refund_no"),
        platform_refund_no=text(message, "refund_id"),
        amount=_fen(message.get("amount"), "refund"),
        refunded_at=_time(optional(message, "success_time")),
        code=state,
        payload=_redacted(message),
    )


def _same(message: Mapping[str, Any], name: str, ours: str) -> None:
    if message.get(name) != ours:
        raise MalformedMessage(f"{name} is not ours")


def _fen(amount: object, name: str) -> Money:
    if not isinstance(amount, Mapping):
        raise MalformedMessage("amount is missing")
    value = amount.get(name)
    if type(value) is not int or value < 0:
        raise MalformedMessage(f"amount.{name} is no amount in fen")
    if amount.get("currency", CNY) != CNY:
        raise MalformedMessage("amount.currency is not CNY")
    return Money(value)


def _time(value: str) -> datetime | None:
    if not value:
        return None
    try:
        at = datetime.fromisoformat(value)
    except ValueError as error:
        raise MalformedMessage("a time that is no time") from error
    # The platform always names the offset; should it be left out, the time is Beijing's.
    return (at if at.tzinfo else at.replace(tzinfo=CHINA)).astimezone(UTC)


def _masked(openid: str) -> str:
    return f"{openid[:4]}***{openid[-4:]}" if len(openid) > 12 else "***" if openid else ""


def _redacted(message: Mapping[str, Any]) -> dict[str, Any]:
    hidden = {"payer", "user_received_account", "attach"}
    return {name: value for name, value in message.items() if name not in hidden}
