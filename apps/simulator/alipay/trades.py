"""Trades: created for a buyer or for whoever opens a code, asked about, closed (dossier B2, B4).

Functions take a verified call and return the fields of its answer node; they raise ``BusinessRefusal``.
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Any

from apps.simulator import books, clock
from apps.simulator.alipay import wire
from apps.simulator.alipay.calls import Call
from apps.simulator.alipay.notices import refunded_fen
from apps.simulator.alipay.wire import BusinessRefusal, yuan
from apps.simulator.models import Order, OrderState, Product
from apps.simulator.payers import PAYERS

CODE_LIFE = timedelta(hours=2)
REFUND_WINDOW = timedelta(days=365)


# --- creating -------------------------------------------------------------------------------------


def precreate(call: Call) -> dict[str, Any]:
    """A QR code for one order. No trade exists until a wallet opens the code."""
    life = wire.span(call.biz, "qr_code_timeout_express", at=call.now) or CODE_LIFE
    code = f"https://qr.alipay.com/bax{secrets.token_hex(10)}"
    order = place(call, Product.PRECREATE, code=code, code_life=life, exists=False)
    if order.state != OrderState.WAITING:
        raise BusinessRefusal("ACQ.TRADE_HAS_CLOSE")
    return {"out_trade_no": order.out_trade_no, "qr_code": order.code_content}


def page_pay(call: Call) -> Order:
    """The order of a browser redirect (wap.pay, page.pay); the cashier page creates the trade."""
    product = Product.WAP if call.method == "alipay.trade.wap.pay" else Product.PAGE
    return place(call, product, exists=False)


def create(call: Call) -> dict[str, Any]:
    """A trade for a known buyer, to be paid by tradePay in the wallet's page."""
    buyer = wire.text(call.biz, "buyer_id", longest=28) or wire.text(
        call.biz, "buyer_open_id", longest=128
    )
    if not buyer:
        raise BusinessRefusal("ACQ.INVALID_PARAMETER", "参数有误：buyer_id不能为空")
    if wire.text(call.biz, "product_code", longest=64) == "JSAPI_PAY" and not wire.text(
        call.biz, "op_app_id", longest=32
    ):
        raise BusinessRefusal("ACQ.INVALID_PARAMETER", "参数有误：op_app_id不能为空")
    order = place(call, Product.CREATE, buyer=buyer)
    if order.payer_id and order.payer_id != buyer:
        raise BusinessRefusal("ACQ.TRADE_BUYER_NOT_MATCH")
    return {"out_trade_no": order.out_trade_no, "trade_no": order.trade_no}


def place(
    call: Call,
    product: Product,
    *,
    code: str | None = None,
    code_life: timedelta | None = None,
    exists: bool = True,
    buyer: str = "",
) -> Order:
    """Write a new order, or find the one that this number already has and compare it.

    ``code_life`` is how long it can be paid by a code, shown or taken. What was taken at a till is kept out of the books.
    """
    biz = call.biz
    out_trade_no = wire.text(biz, "out_trade_no", longest=64, needed=True)
    amount = wire.fen(biz.get("total_amount"), "total_amount")
    subject = wire.text(biz, "subject", longest=256, needed=True)
    facts: dict[str, Any] = {
        "amount_fen": amount,
        "description": subject,
        "attach": wire.text(biz, "passback_params", longest=512),
        "notify_url": call.params.get("notify_url", ""),
        "return_url": call.params.get("return_url", ""),
        "expires_at": wire.deadline(biz, at=call.now),
        "code_content": code,
        "code_expires_at": call.now + code_life if code_life else None,
        "request": {name: value for name, value in biz.items() if name != "auth_code"},
        "extra": {
            "charset": call.charset,
            "method": call.method,
            "body": wire.text(biz, "body", longest=400),
            "quit_url": wire.text(biz, "quit_url", longest=400),
            "store_id": wire.text(biz, "store_id", longest=32),
            "operator_id": wire.text(biz, "operator_id", longest=28),
            "terminal_id": wire.text(biz, "terminal_id", longest=32),
        },
    }
    order = books.order_by_no(merchant=call.merchant, out_trade_no=out_trade_no)
    if order is None:
        try:
            return books.create_order(
                merchant=call.merchant,
                product=product,
                out_trade_no=out_trade_no,
                now=call.now,
                trade_exists=exists,
                payer_id=buyer,
                payer_login=_login(buyer),
                **facts,
            )
        except books.OrderNumberUsed:  # two calls at the same moment
            order = Order.objects.get(merchant=call.merchant, out_trade_no=out_trade_no)
    return _replace(books.refresh(order=order, now=call.now), facts, product, exists, buyer)


def _replace(
    order: Order, facts: dict[str, Any], product: Product, exists: bool, buyer: str
) -> Order:
    if order.state == OrderState.PAID:
        raise BusinessRefusal("ACQ.TRADE_HAS_SUCCESS")
    if order.state == OrderState.CLOSED:
        raise BusinessRefusal("ACQ.TRADE_HAS_CLOSE")
    if order.trade_exists:
        if order.amount_fen != facts["amount_fen"] or order.description != facts["description"]:
            raise BusinessRefusal("ACQ.CONTEXT_INCONSISTENT")
        return order
    # Nobody has opened it: there is no trade yet, so the newest call simply counts.
    changes = {**facts, "product": product, "trade_exists": exists}
    if buyer:
        changes |= {"payer_id": buyer, "payer_login": _login(buyer)}
    changed = Order.objects.filter(
        pk=order.pk, state=OrderState.WAITING, trade_exists=False
    ).update(**changes)
    if not changed:
        raise BusinessRefusal("ACQ.SYSTEM_ERROR")
    order.refresh_from_db()
    return order


def _login(buyer: str) -> str:
    return next((payer.login for payer in PAYERS.values() if payer.alipay_id == buyer), "")


# --- asking ---------------------------------------------------------------------------------------


def trade_status(order: Order, now: datetime) -> str:
    """The trade_status of an order: a full refund closes it, the end of the window finishes it."""
    if order.state == OrderState.WAITING:
        return "WAIT_BUYER_PAY"
    if order.state == OrderState.CLOSED or refunded_fen(order) >= order.amount_fen:
        return "TRADE_CLOSED"
    if order.paid_at is not None and now - order.paid_at > REFUND_WINDOW:
        return "TRADE_FINISHED"
    return "TRADE_SUCCESS"


def query(call: Call) -> dict[str, Any]:
    """The state of one trade."""
    order = trade_of(call)
    paid = order.paid_at is not None
    received = yuan(order.amount_fen if paid else 0)
    fields: dict[str, Any] = {
        "buyer_logon_id": order.payer_login,
        "buyer_pay_amount": received,
        "buyer_user_id": order.payer_id,
        "invoice_amount": received,
        "out_trade_no": order.out_trade_no,
        "point_amount": "0.00",
        "receipt_amount": received,
        "store_id": order.extra.get("store_id", ""),
        "terminal_id": order.extra.get("terminal_id", ""),
        "total_amount": yuan(order.amount_fen),
        "trade_no": order.trade_no,
        "trade_status": trade_status(order, call.now),
    }
    if order.paid_at is not None:
        fields["fund_bill_list"] = [{"amount": received, "fund_channel": "ALIPAYACCOUNT"}]
        fields["send_pay_date"] = clock.beijing_text(order.paid_at)
    return {key: value for key, value in fields.items() if value}


def trade_of(call: Call) -> Order:
    """The trade that a call names; trade_no wins. One that nobody has scanned does not exist."""
    trade_no = wire.text(call.biz, "trade_no", longest=64)
    out_trade_no = wire.text(call.biz, "out_trade_no", longest=64)
    if trade_no:
        order = books.order_by_trade_no(merchant=call.merchant, trade_no=trade_no)
    elif out_trade_no:
        order = books.order_by_no(merchant=call.merchant, out_trade_no=out_trade_no)
    else:
        raise BusinessRefusal("ACQ.INVALID_PARAMETER", "参数有误：交易号和商户订单号不能同时为空")
    if order is None or not order.trade_exists:
        raise BusinessRefusal("ACQ.TRADE_NOT_EXIST")
    return books.refresh(order=order, now=call.now)


# --- closing ----------------------------------------------------------------------------------------


def close(call: Call) -> dict[str, Any]:
    """Close an unpaid trade; a notice TRADE_CLOSED follows."""
    order = trade_of(call)
    try:
        books.close_order(order=order, now=call.now)
    except books.NotClosable:
        raise BusinessRefusal("ACQ.TRADE_STATUS_ERROR") from None
    return {"out_trade_no": order.out_trade_no, "trade_no": order.trade_no}
