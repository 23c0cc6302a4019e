"""Cancelling a trade whatever became of it, and refunds (dossier B2, B4)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from apps.simulator import books, clock
from apps.simulator.alipay import wire
from apps.simulator.alipay.calls import Call
from apps.simulator.alipay.notices import refunded_fen
from apps.simulator.alipay.trades import trade_of, trade_status
from apps.simulator.alipay.wire import BusinessRefusal, yuan
from apps.simulator.models import Order, OrderState, Refund, RefundState

#: Later than this a trade can only be refunded.
CANCEL_WINDOW = timedelta(days=1)
#: How the number of the refund begins by which a paid trade is cancelled.
CANCELLATION = "cancel_"


def cancel(call: Call) -> dict[str, Any]:
    """End a trade whatever its state, within a day: unpaid is closed, paid is refunded. Harmless to repeat.

    ``retry_flag`` Y asks to call again; the fault cancel_retry says so and does nothing.
    """
    order = trade_of(call)
    if call.now - order.created_at > CANCEL_WINDOW:
        raise BusinessRefusal("ACQ.TRADE_CANCEL_TIME_OUT", retry_flag="N")
    if call.fault("cancel_retry") is not None:
        raise BusinessRefusal("ACQ.SYSTEM_ERROR", retry_flag="Y")
    answer = {
        "out_trade_no": order.out_trade_no,
        "trade_no": order.trade_no,
        "retry_flag": "N",
    }
    if order.state == OrderState.WAITING:
        try:
            books.close_order(order=order, now=call.now, by="cancel")
        except books.NotClosable:
            raise BusinessRefusal("ACQ.SYSTEM_ERROR", retry_flag="Y") from None
        return {**answer, "action": "close"}
    if order.state == OrderState.CLOSED:
        return {**answer, "action": "close"}
    number = f"{CANCELLATION}{order.out_trade_no}"[:64]
    if Refund.objects.filter(order=order, out_refund_no=number).exists():
        return {**answer, "action": "refund"}
    if order.refundable_fen <= 0:
        raise BusinessRefusal("ACQ.REASON_TRADE_REFUND_FEE_ERR", retry_flag="N")
    _check_balance(call)
    _refund(call, order, number, order.refundable_fen, "撤销")
    return {**answer, "action": "refund"}


def refund(call: Call) -> dict[str, Any]:
    """Refund all or part. The same number and amount again moves no money: fund_change N."""
    order = trade_of(call)
    amount = wire.fen(call.biz.get("refund_amount"), "refund_amount")
    number = wire.text(call.biz, "out_request_no", longest=64)
    reason = wire.text(call.biz, "refund_reason", longest=256)
    if order.state != OrderState.PAID:
        raise BusinessRefusal("ACQ.TRADE_STATUS_ERROR")
    if not number:
        if amount != order.amount_fen:
            raise BusinessRefusal("ACQ.REFUND_AMT_NOT_EQUAL_TOTAL")
        number = order.out_trade_no
    known = Refund.objects.filter(order=order, out_refund_no=number).first()
    if known is not None:
        return _refund_again(order, known, amount)
    status = trade_status(order, call.now)
    if status == "TRADE_FINISHED":
        raise BusinessRefusal("ACQ.TRADE_NOT_ALLOW_REFUND")
    if status == "TRADE_CLOSED":
        raise BusinessRefusal("ACQ.TRADE_STATUS_ERROR")
    if amount > order.refundable_fen:
        raise BusinessRefusal("ACQ.REASON_TRADE_REFUND_FEE_ERR")
    _check_balance(call)
    done = _refund(call, order, number, amount, reason)
    if done is None:  # another call with this number was quicker
        known = Refund.objects.get(order=order, out_refund_no=number)
        return _refund_again(order, known, amount)
    return _refund_answer(order, done, changed=done.state == RefundState.SUCCESS)


def _check_balance(call: Call) -> None:
    if call.fault("not_enough") is not None:
        raise BusinessRefusal("ACQ.SELLER_BALANCE_NOT_ENOUGH")


def _refund(call: Call, order: Order, number: str, amount: int, reason: str) -> Refund | None:
    try:
        return books.create_refund(
            order=order,
            out_refund_no=number,
            amount_fen=amount,
            now=call.now,
            reason=reason,
            instant=True,
            request=call.biz,
        )
    except books.NotRefundable as refusal:
        if refusal.reason == "number_used":
            return None
        if refusal.reason == "over":
            raise BusinessRefusal("ACQ.REASON_TRADE_REFUND_FEE_ERR") from None
        raise BusinessRefusal("ACQ.TRADE_STATUS_ERROR") from None


def _refund_again(order: Order, known: Refund, amount: int) -> dict[str, Any]:
    if known.amount_fen != amount:
        raise BusinessRefusal("ACQ.DISCORDANT_REPEAT_REQUEST")
    return _refund_answer(order, known, changed=False)


def _refund_answer(order: Order, done: Refund, *, changed: bool) -> dict[str, Any]:
    return {
        "buyer_logon_id": order.payer_login,
        "buyer_user_id": order.payer_id,
        "fund_change": "Y" if changed else "N",
        "gmt_refund_pay": clock.beijing_text(done.finished_at or done.created_at),
        "out_trade_no": order.out_trade_no,
        "refund_fee": yuan(refunded_fen(order)),
        "send_back_fee": yuan(done.amount_fen if changed else 0),
        "trade_no": order.trade_no,
    }


def refund_query(call: Call) -> dict[str, Any]:
    """One refund. Without refund_status in the answer it was not received, or failed."""
    order = trade_of(call)
    number = wire.text(call.biz, "out_request_no", longest=64, needed=True)
    found = Refund.objects.filter(
        order=order, out_refund_no=number, state=RefundState.SUCCESS
    ).first()
    answer: dict[str, Any] = {
        "out_request_no": number,
        "out_trade_no": order.out_trade_no,
        "trade_no": order.trade_no,
    }
    if found is None:
        return answer
    answer |= {
        "total_amount": yuan(order.amount_fen),
        "refund_amount": yuan(found.amount_fen),
        "refund_status": "REFUND_SUCCESS",
        "send_back_fee": yuan(found.amount_fen),
    }
    options = call.biz.get("query_options")
    if isinstance(options, list) and "gmt_refund_pay" in options:
        answer["gmt_refund_pay"] = clock.beijing_text(found.finished_at or found.created_at)
    return answer
