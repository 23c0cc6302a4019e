"""POST /upay/v2/refund, cancel and revoke (dossier 2.5)."""

from __future__ import annotations

from typing import Any

from apps.simulator import books, clock
from apps.simulator.models import Order, OrderState, Refund, RefundState
from apps.simulator.shouqianba import fields, objects, veils
from apps.simulator.shouqianba.endpoint import Call, api
from apps.simulator.shouqianba.errors import BusinessRefusal, biz, invalid_params
from apps.simulator.shouqianba.orders import find

#: Three months. To the end of the day: chosen, the documents say no more.
REFUND_MONTHS = 3
_REFUND_RESULTS: dict[str, str] = {
    RefundState.PROCESSING: "REFUND_IN_PROGRESS",
    RefundState.SUCCESS: "REFUND_SUCCESS",
    RefundState.CLOSED: "REFUND_FAIL",
    RefundState.ABNORMAL: "REFUND_ERROR",
}
_CANCEL_RESULTS: dict[str, str] = {
    RefundState.PROCESSING: "CANCEL_IN_PROGRESS",
    RefundState.SUCCESS: "CANCEL_SUCCESS",
    RefundState.CLOSED: "CANCEL_ERROR",
    RefundState.ABNORMAL: "CANCEL_ERROR",
}
#: What the platform charges a refund to is empty: which of the two codes comes is the fault's choice.
_NOT_ENOUGH = "ACCOUNT_BALANCE_NOT_ENOUGH"


# --- refunds --------------------------------------------------------------------------------------


@api
def refund(call: Call) -> dict[str, Any]:
    """Give back all or part of a payment, within three months. ``refund_request_no`` is the key of one refund:
    the same number again moves no money and is answered UPAY_REFUND_ORDER_NOOP once that refund is done.
    """
    values = fields.read(call.body, fields.REFUND)
    fields.check_extras(call.body)
    order = find(call, values)
    number, amount = values["refund_request_no"], int(values["refund_amount"])
    known = Refund.objects.filter(order=order, out_refund_no=number).first()
    if known is not None:
        return _refund_again(call, known, amount)
    _check_refundable(call, order, amount)
    short = call.fault("not_enough")
    if short is not None:
        error = str(short.get("error_code", _NOT_ENOUGH))
        return biz("REFUND_FAIL", error_code=error, data=objects.data(order, now=call.now))
    try:
        made = books.create_refund(
            order=order,
            out_refund_no=number,
            amount_fen=amount,
            now=call.now,
            instant=True,
            request={
                "operator": values["operator"],
                "client_tsn": values["client_tsn"],
            },
        )
    except books.NotRefundable as refusal:  # another call was quicker
        if refusal.reason == "number_used":
            return _refund_again(
                call, Refund.objects.get(order=order, out_refund_no=number), amount
            )
        code = {"over": "REFUNDABLE_AMOUNT_NOT_ENOUGH"}.get(
            refusal.reason, "UPAY_REFUND_INVALID_ORDER_STATE"
        )
        raise BusinessRefusal(code) from None
    return _refund_answer(call, made)


def _check_refundable(call: Call, order: Order, amount: int) -> None:
    covered = objects.veil_of(order, now=call.now)
    cancellation = objects.cancellation_of(objects.refunds_of(order))
    gone = cancellation is not None and cancellation.state != RefundState.CLOSED
    paid_at = order.paid_at
    if order.state != OrderState.PAID or covered or gone or paid_at is None:
        raise BusinessRefusal("UPAY_REFUND_INVALID_ORDER_STATE")
    if call.now >= clock.months_over(paid_at, REFUND_MONTHS):
        raise BusinessRefusal("UPAY_REFUND_INVALID_ORDER_STATE", message="订单已超过可退款期限")
    if order.refundable_fen == 0:
        raise BusinessRefusal(
            "UPAY_REFUND_INVALID_ORDER_STATE", message="订单已全额退款,可退金额不足"
        )
    if amount > order.refundable_fen:
        raise BusinessRefusal("REFUNDABLE_AMOUNT_NOT_ENOUGH")


def _refund_again(call: Call, known: Refund, amount: int) -> dict[str, Any]:
    """The same number a second time. With another amount it is refused: undocumented, so refused as a parameter."""
    if known.request.get(objects.CANCEL) or known.amount_fen != amount:
        raise invalid_params("refund_request_no已被使用，退款金额与原请求不一致")
    if known.state == RefundState.SUCCESS:
        raise BusinessRefusal(
            "UPAY_REFUND_ORDER_NOOP", data=objects.data(known.order, now=call.now, shown=known)
        )
    return _refund_answer(call, known)


def _refund_answer(call: Call, made: Refund) -> dict[str, Any]:
    books.settle_due(now=call.now, order=made.order)
    current = Refund.objects.select_related("order__merchant").get(pk=made.pk)
    failed = current.state in (RefundState.CLOSED, RefundState.ABNORMAL)
    return biz(
        _REFUND_RESULTS[current.state],
        error_code="TRADE_FAILED" if failed else "",
        data=objects.data(current.order, now=call.now, shown=current),
    )


# --- cancelling -----------------------------------------------------------------------------------


@api
def cancel(call: Call) -> dict[str, Any]:
    """End an order, whatever it is: an unpaid one is aborted, one paid today is given back whole, with its fee.

    The fault cancel_in_progress does it and answers value.result, and does not say how it ended for value.seconds.
    """
    order = find(call, fields.read(call.body, fields.CANCEL))
    veil = objects.veil_of(order, now=call.now)
    if veil is not None:
        if veil["kind"] == veils.CANCEL and veil["status"] == "IN_PROG":
            return biz(str(veil["result"]), data=objects.data(order, now=call.now))
        veils.lift(order=order, now=call.now)
        order = books.refresh(order=order, now=call.now)
        if _is_over(order):
            # It was not known whether anything had been taken: now it is, and nothing is.
            return biz("CANCEL_SUCCESS", data=objects.data(order, now=call.now))
    if _is_over(order):
        raise BusinessRefusal("UPAY_CANCEL_ORDER_NOOP", data=objects.data(order, now=call.now))
    _name_the_end(call, order)
    if order.state == OrderState.WAITING:
        try:
            order = books.close_order(order=order, now=call.now, by=objects.CANCEL)
        except books.NotClosable:  # it was paid, or ended, at this very moment
            order = books.refresh(order=order, now=call.now)
            if order.state == OrderState.CLOSED:
                raise BusinessRefusal("UPAY_CANCEL_ORDER_NOOP") from None
        else:
            return _cancelled(call, order, "CANCEL_ABORT_SUCCESS")
    return _give_back_whole(call, order)


def _is_over(order: Order) -> bool:
    """Whether nothing is left to cancel: never paid, or cancelled before."""
    if order.state == OrderState.CLOSED:
        return True
    cancellation = objects.cancellation_of(objects.refunds_of(order))
    return cancellation is not None and cancellation.state == RefundState.SUCCESS


def _name_the_end(call: Call, order: Order) -> None:
    """Before it ends, since the callback's text is written with it: CANCELED, or what the newer notes show."""
    if call.fault("cancel_reads_pay_canceled") is not None:
        current = Order.objects.get(pk=order.pk)
        current.extra = {**current.extra, "cancelled_status": "PAY_CANCELED"}
        current.save(update_fields=["extra"])


def _give_back_whole(call: Call, order: Order) -> dict[str, Any]:
    refunds = objects.refunds_of(order)
    pending = objects.cancellation_of(refunds)
    if pending is not None and pending.state != RefundState.CLOSED:
        if pending.state == RefundState.ABNORMAL:
            books.rescue_refund(refund=pending, now=call.now)
            pending.refresh_from_db()
        return biz(_CANCEL_RESULTS[pending.state], data=objects.data(order, now=call.now))
    today = clock.beijing_date(call.now)
    touched = any(refund.state != RefundState.CLOSED for refund in refunds)
    if order.paid_at is None or clock.beijing_date(order.paid_at) != today or touched:
        raise BusinessRefusal("UPAY_CANCEL_INVALID_ORDER_STATE")
    short = call.fault("not_enough")
    if short is not None:
        raise BusinessRefusal(str(short.get("error_code", _NOT_ENOUGH)), result="CANCEL_ERROR")
    number = f"{objects.CANCEL}_{order.trade_no}"
    if pending is not None:
        number += f"_{len(refunds)}"
    try:
        made = books.create_refund(
            order=order,
            out_refund_no=number,
            amount_fen=order.amount_fen,
            now=call.now,
            reason="撤单",
            instant=True,
            request={objects.CANCEL: True},
        )
    except books.NotRefundable:  # another call was quicker
        over = _is_over(books.refresh(order=order, now=call.now))
        code = "UPAY_CANCEL_ORDER_NOOP" if over else "UPAY_CANCEL_INVALID_ORDER_STATE"
        raise BusinessRefusal(code) from None
    books.settle_due(now=call.now, order=order)
    made.refresh_from_db()
    return _cancelled(call, order, _CANCEL_RESULTS[made.state])


def _cancelled(call: Call, order: Order, result: str) -> dict[str, Any]:
    """The answer to a cancellation that has just been done; under the fault, one that does not say so."""
    unclear = call.fault("cancel_in_progress")
    if unclear is not None:
        result = str(unclear["result"])
        running = result.endswith("IN_PROGRESS")
        veils.cover(
            order=order,
            kind=veils.CANCEL,
            value={
                "order_status": "CANCEL_INPROGRESS" if running else "CANCEL_ERROR",
                "status": "IN_PROG" if running else "CANCEL_ERROR",
                **unclear,
            },
            now=call.now,
        )
    current = books.refresh(order=order, now=call.now)
    return biz(result, data=objects.data(current, now=call.now))
