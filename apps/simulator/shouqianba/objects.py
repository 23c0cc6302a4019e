"""What Shouqianba tells about an order: its state, and the latest of its transaction records (流水) only.

A *veil* covers an order whose true state the platform does not know for a while, or says that it does not: it is
``extra["veil"]`` with ``order_status``, ``status`` and ``until`` (ISO time, or null for ever). The books underneath
know better; when the veil is gone, so do the answers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from apps.simulator.models import Order, OrderState, Refund, RefundState
from apps.simulator.shouqianba import payways

#: What ``Refund.request`` says of a cancellation, which gives a whole payment back.
CANCEL = "cancel"


def epoch_ms(at: datetime) -> str:
    """Milliseconds since 1970, as 13 digits."""
    return str(int(at.timestamp() * 1000))


def channel_ms(at: datetime) -> str:
    """The same, as the channels tell it: to the second."""
    return f"{int(at.timestamp())}000"


def veil_of(order: Order, *, now: datetime) -> dict[str, Any] | None:
    """The order's veil, if it still covers it."""
    veil: dict[str, Any] | None = order.extra.get("veil")
    if not veil:
        return None
    until = veil.get("until")
    return veil if until is None or now < datetime.fromisoformat(until) else None


def refunds_of(order: Order) -> list[Refund]:
    """The order's refunds and its cancellation, oldest first."""
    return list(Refund.objects.filter(order=order).order_by("created_at", "pk"))


def cancellation_of(refunds: Sequence[Refund]) -> Refund | None:
    """The latest cancellation among them: one that failed may be followed by another."""
    return next((refund for refund in reversed(refunds) if refund.request.get(CANCEL)), None)


def given_back(refunds: Sequence[Refund]) -> int:
    """What has really gone back to the payer, in fen."""
    return sum(refund.amount_fen for refund in refunds if refund.state == RefundState.SUCCESS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One 流水: ``finished_at`` is None while it runs."""

    client_tsn: str
    status: str
    operator: str
    finished_at: datetime | None


#: The status of a refund's record. ABNORMAL is what the channel could not say.
_REFUND_STATUS: dict[str, str] = {
    RefundState.PROCESSING: "IN_PROG",
    RefundState.SUCCESS: "SUCCESS",
    RefundState.CLOSED: "FAIL_CANCELED",
    RefundState.ABNORMAL: "REFUND_ERROR",
}
_PAYMENT_STATUS: dict[str, str] = {
    OrderState.WAITING: "IN_PROG",
    OrderState.PAID: "SUCCESS",
    OrderState.CLOSED: "FAIL_CANCELED",
}


def latest_record(order: Order, refunds: Sequence[Refund]) -> Record:
    """The latest record of an order: its last refund or cancellation, else the payment."""
    if refunds:
        return record_of(refunds[-1])
    cancelled = order.extra.get("closed_by") == CANCEL
    return Record(
        client_tsn=order.out_trade_no,
        status="SUCCESS" if cancelled else _PAYMENT_STATUS[order.state],
        operator=str(order.extra.get("operator", "")),
        finished_at=order.paid_at or order.closed_at,
    )


def record_of(refund: Refund) -> Record:
    """The record of one refund or cancellation."""
    order = refund.order
    cancelling = bool(refund.request.get(CANCEL))
    status = _REFUND_STATUS[refund.state]
    if cancelling and refund.state == RefundState.ABNORMAL:
        status = "CANCEL_ERROR"
    default = order.out_trade_no if cancelling else f"{order.out_trade_no}-{refund.out_refund_no}"
    return Record(
        client_tsn=str(refund.request.get("client_tsn") or default),
        status=status,
        operator=str(refund.request.get("operator") or order.extra.get("operator", "")),
        finished_at=refund.finished_at,
    )


def order_status(order: Order, refunds: Sequence[Refund]) -> str:
    """The order_status by the books, without a veil."""
    if order.state == OrderState.WAITING:
        return "CREATED"
    if order.state == OrderState.CLOSED:
        return _cancelled(order) if order.extra.get("closed_by") == CANCEL else "PAY_CANCELED"
    cancellation = cancellation_of(refunds)
    if cancellation is not None and cancellation.state != RefundState.CLOSED:
        return {
            RefundState.PROCESSING: "CANCEL_INPROGRESS",
            RefundState.SUCCESS: _cancelled(order),
        }.get(RefundState(cancellation.state), "CANCEL_ERROR")
    if refunds and refunds[-1].state == RefundState.ABNORMAL:
        return "REFUND_ERROR"
    back = given_back(refunds)
    if back >= order.amount_fen:
        return "REFUNDED"
    return "PARTIAL_REFUNDED" if back else "PAID"


def _cancelled(order: Order) -> str:
    """The documentation says CANCELED, newer notes show PAY_CANCELED (fault cancel_reads_pay_canceled)."""
    return str(order.extra.get("cancelled_status", "CANCELED"))


def error_of(order: Order) -> str:
    """The error code that goes with an order that failed, "" for others."""
    if order.state != OrderState.CLOSED or order.extra.get("closed_by") == CANCEL:
        return ""
    if order.extra.get("closed_by") == "expiry":
        return "TRADE_TIMEOUT"
    return str(order.extra.get("refused_code", "TRADE_FAILED"))


def channel_no(order: Order) -> str:
    """The channel's own number of the payment; what came into the books as history has a made-up one."""
    known = order.extra.get("channel_no")
    if known:
        return str(known)
    digest = hashlib.sha256(order.trade_no.encode()).hexdigest()
    return f"20{int(digest[:24], 16) % 10**26:026d}"


def sub_payway(order: Order) -> str:
    """By which of its ways the order was made."""
    by_product = {"barcode": payways.BARCODE, "qr": payways.QR}
    return str(order.extra.get("sub_payway") or by_product.get(order.product, payways.WAP))


def payway(order: Order) -> str:
    """The payway as asked for, or that of the wallet which paid."""
    return str(order.extra.get("payway") or payways.DETECTED.get(order.wallet, ""))


def data(
    order: Order, *, now: datetime, shown: Refund | None = None, with_code: bool = False
) -> dict[str, Any]:
    """The ``data`` of an answer or callback. Every value is a string but ``payment_list``.

    ``shown`` puts one refund's record in the place of the latest; ``with_code`` adds what the payer pays by.
    """
    refunds = refunds_of(order)
    record = record_of(shown) if shown is not None else latest_record(order, refunds)
    status, state = record.status, order_status(order, refunds)
    veil = veil_of(order, now=now)
    if veil is not None:
        status, state = str(veil["status"]), str(veil["order_status"])
    net = order.amount_fen - given_back(refunds)
    if order.state == OrderState.CLOSED and order.extra.get("closed_by") == CANCEL:
        net = 0
    merchant = order.merchant
    fields: dict[str, Any] = {
        "terminal_sn": order.extra.get("terminal_sn", ""),
        "sn": order.trade_no,
        "client_sn": order.out_trade_no,
        "client_tsn": record.client_tsn,
        "ctime": epoch_ms(order.created_at),
        "status": status,
        "order_status": state,
        "payway": payway(order),
        "sub_payway": sub_payway(order),
        "total_amount": str(order.amount_fen),
        "net_amount": str(net),
        "subject": order.description,
        "description": order.extra.get("description", ""),
        "operator": record.operator,
        "reflect": order.attach,
        "store_id": merchant.config.get("store_id", ""),
        "terminal_id": order.extra.get("terminal_id", ""),
    }
    if record.finished_at is not None and veil is None:
        fields["finish_time"] = epoch_ms(record.finished_at)
        fields["channel_finish_time"] = channel_ms(record.finished_at)
    if order.state == OrderState.PAID and veil is None:
        fields |= {
            "trade_no": channel_no(order),
            "payer_uid": order.payer_id,
            "payer_login": order.payer_login,
            "payment_list": [
                {
                    "type": payways.FUNDS.get(order.wallet, "WALLET_WEIXIN"),
                    "amount_total": str(order.amount_fen),
                }
            ],
        }
    if with_code:
        fields["qr_code"] = order.code_content if sub_payway(order) == payways.QR else ""
        fields["wap_pay_request"] = order.extra.get("wap_pay_request", "")
    return {name: value for name, value in fields.items() if value}
