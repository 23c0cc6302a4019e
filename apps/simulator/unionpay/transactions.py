"""UnionPay's transactions: each takes a verified message and returns the fields of its answer (dossier 1.5 to 1.8).

A transaction is known by merId, orderId and txnTime; an orderId that was used is refused with 12 whatever it was for.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from apps.simulator import books, clock, faults, paycodes, skew
from apps.simulator.models import (
    Merchant,
    Order,
    OrderState,
    Platform,
    Product,
    Refund,
)
from apps.simulator.payers import PAYERS
from apps.simulator.unionpay import certificates, days, records, wire
from apps.simulator.unionpay.wire import Refusal

#: How long an order can be paid when the merchant names no payTimeout.
ORDER_LIFE = timedelta(minutes=15)
#: For so many months refunds are taken. To the end of the day: chosen, the documents say no more.
REFUND_MONTHS = 11
#: What the merchant calls the thing in ``riskRateInfo``.
COMMODITY = re.compile(r"commodityName=([^&}]*)")

#: The digits of a payer's code: the SDK says up to 20, codes in use have 19 and begin with 62.
QR_NUMBER = re.compile(r"[0-9]{1,20}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A message whose signature was verified. ``path`` is what faults are limited to."""

    merchant: Merchant
    fields: dict[str, str]
    now: datetime
    path: str

    def fault(self, key: str) -> dict[str, Any] | None:
        """The value of a fault that hits this call."""
        return faults.take(key, platform=Platform.UNIONPAY, path=self.path)

    @property
    def order_id(self) -> str:
        """The transaction's own number."""
        return self.fields["orderId"]


Handler = Callable[[Call], dict[str, str]]


# --- what every transaction is checked for --------------------------------------------------------


def _checked(call: Call, *, business: tuple[str, ...] = ("000000",)) -> None:
    """The fields of a new transaction. Raises Refusal 10, 12, 13."""
    fields = call.fields
    if fields["bizType"] not in business or fields["accessType"] != "0":
        raise Refusal("10", f"{wire.MESSAGES['10']}：bizType")
    wire.needed(fields, "channelType", "currencyCode")
    if fields["channelType"] not in {"07", "08"}:
        raise Refusal("10", f"{wire.MESSAGES['10']}：channelType")
    if fields["currencyCode"] != records.CURRENCY:
        raise Refusal("10", f"{wire.MESSAGES['10']}：currencyCode")
    wire.matching(fields, "orderId", wire.ORDER_ID)
    wire.matching(fields, "txnAmt", wire.AMOUNT)
    wire.matching(fields, "backUrl", wire.ADDRESS)
    if len(fields.get("reqReserved", "")) > 1024:
        raise Refusal("10", f"{wire.MESSAGES['10']}：reqReserved")
    sent_now(fields)


def sent_now(fields: dict[str, str]) -> datetime:
    """txnTime, which must be about true now: the client does not know the simulated clock. Raises Refusal.

    The window is UNVERIFIED.
    """
    wire.needed(fields, "txnTime")
    try:
        at = days.read_time(fields["txnTime"])
    except ValueError:
        raise Refusal("10", f"{wire.MESSAGES['10']}：txnTime") from None
    window = timedelta(minutes=settings.SIMULATOR_UNIONPAY_TXN_MINUTES)
    if abs(at - skew.now(Platform.UNIONPAY)) > window:
        raise Refusal("10", "txnTime无效[6100080]")
    return at


def _unused(call: Call) -> None:
    if (
        Order.objects.filter(merchant=call.merchant, out_trade_no=call.order_id).exists()
        or Refund.objects.filter(merchant=call.merchant, out_refund_no=call.order_id).exists()
    ):
        raise Refusal("12")


def _expires_at(call: Call) -> datetime:
    """payTimeout, read as so many seconds from txnTime: the simulated clock may run elsewhere."""
    text = call.fields.get("payTimeout", "")
    if not text:
        return call.now + ORDER_LIFE
    try:
        life = days.read_time(text) - days.read_time(call.fields["txnTime"])
    except ValueError:
        raise Refusal("10", f"{wire.MESSAGES['10']}：payTimeout") from None
    if life <= timedelta(0):
        raise Refusal("10", f"{wire.MESSAGES['10']}：payTimeout")
    return call.now + life


def _placed(call: Call, product: Product, **more: Any) -> Order:
    """Write the order. Raises Refusal 12."""
    _unused(call)
    fields = call.fields
    named = COMMODITY.search(fields.get("riskRateInfo", ""))
    try:
        return books.create_order(
            merchant=call.merchant,
            product=product,
            out_trade_no=call.order_id,
            amount_fen=int(fields["txnAmt"]),
            now=call.now,
            expires_at=_expires_at(call),
            description=(fields.get("orderDesc") or (named[1] if named else ""))[:256],
            attach=fields.get("reqReserved", ""),
            notify_url=fields["backUrl"],
            return_url=fields.get("frontUrl", ""),
            request={
                name: value
                for name, value in fields.items()
                if name not in {"signature", "qrNo", "customerInfo"}
            },
            **more,
        )
    except books.OrderNumberUsed:  # two calls at the same moment
        raise Refusal("12") from None


# --- paying ---------------------------------------------------------------------------------------


def apply_qr(call: Call) -> dict[str, str]:
    """01/07: a code for one order. 00 says only that the code was issued."""
    _checked(call)
    code = "https://qr.95516.com/00010000/62" + "".join(
        secrets.choice("0123456789") for _ in range(30)
    )
    order = _placed(call, Product.QR, code_content=code, code_expires_at=_expires_at(call))
    return {"qrCode": order.code_content or ""}


def pay_code(call: Call) -> dict[str, str]:
    """01/06: pay by the code on the payer's phone (``qrNo``). 00 is paid; 05, the payer types a password first.

    A code that is wrong, over or used, and a payer without money, end the order for good.
    """
    _checked(call)
    digits = wire.matching(call.fields, "qrNo", QR_NUMBER)
    order = _placed(call, Product.BARCODE)
    try:
        code = paycodes.take(digits=digits, wallet=Platform.UNIONPAY, order=order, now=call.now)
    except paycodes.CodeRefused:
        books.fail_order(order=order, code="01", now=call.now)
        raise Refusal("01", "付款码无效或已过期，请刷新后重试[1000061]") from None
    if not paycodes.pays_at_once(code):
        raise Refusal("05", queryId=order.trade_no)
    try:
        books.pay_order(order=order, payer=paycodes.payer_of(code), now=call.now)
    except books.NotPayable as refusal:
        reason = "64" if refusal.reason == "balance" else "01"
        books.fail_order(order=order, code=reason, now=call.now)
        raise Refusal(reason) from None
    return {"queryId": order.trade_no}


def front_order(call: Call) -> Order:
    """01/01: the order of a browser's form. The same form again, while unpaid, is the same order: people reload.

    Raises Refusal.
    """
    _checked(call, business=("000201",))
    wire.matching(call.fields, "frontUrl", wire.ADDRESS)
    known = books.order_by_no(merchant=call.merchant, out_trade_no=call.order_id)
    if known is None:
        return _placed(call, Product.FRONT)
    order = books.refresh(order=known, now=call.now)
    same = all(order.request.get(name) == call.fields.get(name) for name in ("txnTime", "txnAmt"))
    if not same or order.state != OrderState.WAITING:
        raise Refusal("12")
    return order


def reverse(call: Call) -> dict[str, str]:
    """99/01: undo a scanned-code payment, by its own orderId and txnTime. Paid or not, it was never made.

    Not documented, so chosen: repeating it is harmless; a payment that has settled (23:00) cannot be undone any more.
    """
    order = _found(call)
    if order is None:
        raise Refusal("34")
    if not isinstance(order, Order) or order.product != Product.BARCODE:
        raise Refusal("35")
    if order.state == OrderState.PAID and days.day_of_order(order) != days.settlement_day(call.now):
        raise Refusal("35")
    try:
        books.undo_order(order=order, now=call.now)
    except books.NotClosable as refusal:
        if refusal.reason == "refunded":
            raise Refusal("35") from None
        # It failed or ran out before: there is nothing to undo, and nothing was taken.
    return {}


# --- giving back ----------------------------------------------------------------------------------


def refund(call: Call) -> dict[str, str]:
    """04/00: give back all or part, within eleven months. 00 says that it was accepted."""
    _checked(call, business=("000000", "000201"))
    order = _original(call)
    if call.now >= clock.months_over(order.paid_at or order.created_at, REFUND_MONTHS):
        raise Refusal("35")
    if int(call.fields["txnAmt"]) > order.refundable_fen:
        raise Refusal("36")
    if call.fault("not_enough") is not None:
        raise Refusal("64", "商户账户余额不足[2000064]")
    return _given_back(call, order)


def cancel(call: Call) -> dict[str, str]:
    """31/00: undo a whole payment within its settlement day."""
    _checked(call, business=("000000", "000201"))
    order = _original(call)
    if int(call.fields["txnAmt"]) != order.amount_fen:
        raise Refusal("36")
    if order.refunded_fen or days.day_of_order(order) != days.settlement_day(call.now):
        raise Refusal("35")
    return _given_back(call, order)


def _original(call: Call) -> Order:
    """The paid order that ``origQryId`` names. Raises Refusal 12, 13, 35."""
    _unused(call)
    wire.needed(call.fields, "origQryId")
    order = books.order_by_trade_no(
        merchant=call.merchant, trade_no=call.fields["origQryId"].strip()
    )
    if order is None or books.refresh(order=order, now=call.now).state != OrderState.PAID:
        raise Refusal("35")
    return order


def _given_back(call: Call, order: Order) -> dict[str, str]:
    kept = ("txnType", "txnTime", "bizType", "encoding", "reqReserved")
    marks = books.unionpay_marks(order.platform)
    try:
        done = books.create_refund(
            order=order,
            out_refund_no=call.order_id,
            amount_fen=int(call.fields["txnAmt"]),
            now=call.now,
            notify_url=call.fields["backUrl"],
            unique_in_merchant=True,
            request={**{name: call.fields.get(name, "") for name in kept}, **marks},
        )
    except books.NotRefundable as refusal:
        code = {"number_used": "12", "over": "36"}.get(refusal.reason, "35")
        raise Refusal(code) from None
    return {"queryId": done.refund_no, "origQryId": order.trade_no}


# --- asking ---------------------------------------------------------------------------------------


def query(call: Call) -> dict[str, str]:
    """00/00: what became of the transaction of this orderId and txnTime; 34 if there is none."""
    if call.fault("query_not_found") is not None:
        raise Refusal("34")
    found = _found(call)
    if found is None:
        raise Refusal("34")
    if isinstance(found, Order):
        code, head = records.payment_code(found), records.head_of_order(found)
        made = records.settled_order(found) | _account(call, found)
    else:
        code, head = records.refund_code(found), records.head_of_refund(found)
        made = records.settled_refund(found)
    unclear = call.fault("unclear_answer")
    if unclear is not None:
        code = str(unclear["code"])
    if code not in {"00", "A6"}:
        made = {"settleAmt": "0"}
    return {**head, **made, "origRespCode": code, "origRespMsg": wire.MESSAGES[code]}


def _found(call: Call) -> Order | Refund | None:
    """The transaction that a message names; history that was written into the books has no txnTime of its own."""
    wire.matching(call.fields, "orderId", wire.ORDER_ID)
    wire.needed(call.fields, "txnTime")
    order = books.order_by_no(merchant=call.merchant, out_trade_no=call.order_id)
    if order is not None:
        current = books.refresh(order=order, now=call.now)
        return current if _same_time(call, current.request) else None
    done = (
        Refund.objects.filter(merchant=call.merchant, out_refund_no=call.order_id)
        .select_related("order__merchant")
        .first()
    )
    if done is None or not _same_time(call, done.request):
        return None
    books.settle_due(now=call.now, order=done.order)
    done.refresh_from_db()
    return done


def _same_time(call: Call, request: dict[str, Any]) -> bool:
    return bool(request.get("txnTime", call.fields["txnTime"]) == call.fields["txnTime"])


def _account(call: Call, order: Order) -> dict[str, str]:
    """accNo as queries give it: sealed for the merchant's certificate."""
    card = next((one.card for one in PAYERS.values() if one.masked_card == order.payer_id), "")
    if not card:
        return {}
    return {"accNo": certificates.sealed_for(call.merchant.config["merchant_certificate"], card)}


QUERY: dict[tuple[str, str], Handler] = {("00", "00"): query}
BACK: dict[tuple[str, str], Handler] = {
    ("01", "07"): apply_qr,
    ("01", "06"): pay_code,
    ("04", "00"): refund,
    ("31", "00"): cancel,
    ("99", "01"): reverse,
}
#: Transactions that exist, but not at every address, or not for these merchants (pre-authorisation, payouts).
KNOWN = {*QUERY, *BACK, ("01", "01"), ("76", "01"), ("02", "05"), ("12", "00")}
