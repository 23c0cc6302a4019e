"""alipay.trade.pay: the payer's code, scanned at the till (dossier B1, B2)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db import transaction

from apps.simulator import books, clock, paycodes
from apps.simulator.alipay import wire
from apps.simulator.alipay.calls import Call
from apps.simulator.alipay.trades import place
from apps.simulator.alipay.wire import BusinessRefusal, yuan
from apps.simulator.models import Order, PayCode, Platform, Product

#: How long the payer may take to type the password; the trade waits on until its own time is over, or it is cancelled.
PASSWORD_TIME = timedelta(seconds=60)
#: What the gateway calls the products of the till.
PRODUCTS = frozenset({"", "FACE_TO_FACE_PAYMENT", "OFFLINE_PAYMENT", "BARCODE_PAY"})


def pay(call: Call) -> dict[str, Any]:
    """Take the payer's code: 10000 is paid, 10003 waits for the password, anything else is a refusal or not known.

    A code that cannot be taken leaves no trade behind. The fault pay_unknown answers 20000, with or without the money.
    """
    if wire.text(call.biz, "scene", longest=32, needed=True) != "bar_code":
        raise BusinessRefusal("ACQ.INVALID_PARAMETER", "参数无效：scene")
    if wire.text(call.biz, "product_code", longest=64) not in PRODUCTS:
        raise BusinessRefusal("ACQ.INVALID_PARAMETER", "参数无效：product_code")
    digits = wire.text(call.biz, "auth_code", longest=64, needed=True)
    number = wire.text(call.biz, "out_trade_no", longest=64, needed=True)
    unknown = call.fault("pay_unknown")
    if unknown is not None and not unknown["paid"]:
        raise BusinessRefusal("ACQ.SYSTEM_ERROR")
    known = books.order_by_no(merchant=call.merchant, out_trade_no=number)
    if known is not None:
        if known.product != Product.BARCODE:
            raise BusinessRefusal("ACQ.CONTEXT_INCONSISTENT")
        # Refused if it is paid, closed or about something else.
        return _waiting(place(call, Product.BARCODE))
    order, code = _taken(call, digits)
    if not paycodes.pays_at_once(code):
        return _waiting(order)
    try:
        order = books.pay_order(order=order, payer=paycodes.payer_of(code), now=call.now)
    except books.NotPayable as refusal:
        books.fail_order(order=order, code=refusal.reason, now=call.now)
        raise BusinessRefusal("ACQ.BUYER_BALANCE_NOT_ENOUGH") from None
    if unknown is not None:
        raise BusinessRefusal("ACQ.SYSTEM_ERROR")
    return _paid(order)


@transaction.atomic
def _taken(call: Call, digits: str) -> tuple[Order, PayCode]:
    """The new trade with the payer's code used up for it: both or neither. Raises BusinessRefusal."""
    order = place(call, Product.BARCODE, code_life=PASSWORD_TIME)
    try:
        code = paycodes.take(digits=digits, wallet=Platform.ALIPAY, order=order, now=call.now)
    except paycodes.CodeRefused:
        raise BusinessRefusal("ACQ.PAYMENT_AUTH_CODE_INVALID") from None
    return order, code


def _waiting(order: Order) -> dict[str, Any]:
    return {
        "code": "10003",
        "msg": " order success pay inprocess",
        "out_trade_no": order.out_trade_no,
        "total_amount": yuan(order.amount_fen),
        "trade_no": order.trade_no,
    }


def _paid(order: Order) -> dict[str, Any]:
    amount = yuan(order.amount_fen)
    fields: dict[str, Any] = {
        "buyer_logon_id": order.payer_login,
        "buyer_pay_amount": amount,
        "buyer_user_id": order.payer_id,
        "fund_bill_list": [{"amount": amount, "fund_channel": "ALIPAYACCOUNT"}],
        "gmt_payment": clock.beijing_text(order.paid_at or order.created_at),
        "invoice_amount": amount,
        "out_trade_no": order.out_trade_no,
        "point_amount": "0.00",
        "receipt_amount": amount,
        "store_name": order.extra.get("store_id", ""),
        "total_amount": amount,
        "trade_no": order.trade_no,
    }
    return {name: value for name, value in fields.items() if value}
