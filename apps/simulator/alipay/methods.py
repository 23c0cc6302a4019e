"""The gateway's methods: each takes the call and returns the fields of its answer node.

Semantics and sub_codes after dossier B2 and B4. Methods raise ``BusinessRefusal``.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.db import transaction

from apps.simulator import books, clock, faults
from apps.simulator.alipay import bills, wire
from apps.simulator.alipay.notices import refunded_fen
from apps.simulator.alipay.wire import BusinessRefusal, yuan
from apps.simulator.models import (
    BillFile,
    Merchant,
    OAuthCode,
    Order,
    OrderState,
    Platform,
    Product,
    Refund,
    RefundState,
)
from apps.simulator.payers import PAYERS

CODE_LIFE = timedelta(hours=2)
REFUND_WINDOW = timedelta(days=365)
BILL_LINK_LIFE = timedelta(seconds=30)
TOKEN_LIFE_SECONDS = 1_296_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call whose signature was verified. ``params`` are the common ones, ``biz`` the content."""

    merchant: Merchant
    method: str
    params: dict[str, str]
    biz: dict[str, Any]
    charset: str
    now: datetime


class OAuthRefusal(Exception):
    """alipay.system.oauth.token refuses: answered as a signed ``error_response``."""

    def __init__(self, sub_code: str, sub_msg: str) -> None:
        super().__init__(sub_code)
        self.fields = {
            "code": "40002",
            "msg": "Invalid Arguments",
            "sub_code": sub_code,
            "sub_msg": sub_msg,
        }


# --- creating -------------------------------------------------------------------------------------


def precreate(call: Call) -> dict[str, Any]:
    """A QR code for one order. No trade exists until a wallet opens the code."""
    life = wire.span(call.biz, "qr_code_timeout_express", at=call.now) or CODE_LIFE
    code = f"https://qr.alipay.com/bax{secrets.token_hex(10)}"
    order = _place(call, Product.PRECREATE, code=code, code_life=life, exists=False)
    if order.state != OrderState.WAITING:
        raise BusinessRefusal("ACQ.TRADE_HAS_CLOSE")
    return {"out_trade_no": order.out_trade_no, "qr_code": order.code_content}


def page_pay(call: Call) -> Order:
    """The order of a browser redirect (wap.pay, page.pay); the cashier page creates the trade."""
    product = Product.WAP if call.method == "alipay.trade.wap.pay" else Product.PAGE
    return _place(call, product, exists=False)


def create(call: Call) -> dict[str, Any]:
    """A trade for a known buyer, to be paid by tradePay in the wallet's page."""
    buyer = wire.text(call.biz, "buyer_id", longest=28) or wire.text(
        call.biz, "buyer_open_id", longest=128
    )
    if not buyer:
        raise BusinessRefusal("ACQ.INVALID_PARAMETER", "参数有误：buyer_id不能为空")
    order = _place(call, Product.CREATE, buyer=buyer)
    if order.payer_id and order.payer_id != buyer:
        raise BusinessRefusal("ACQ.TRADE_BUYER_NOT_MATCH")
    return {"out_trade_no": order.out_trade_no, "trade_no": order.trade_no}


def _place(
    call: Call,
    product: Product,
    *,
    code: str | None = None,
    code_life: timedelta | None = None,
    exists: bool = True,
    buyer: str = "",
) -> Order:
    """Write a new order, or find the one that this number already has and compare it."""
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
        "request": biz,
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
    order = _trade(call)
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


def _trade(call: Call) -> Order:
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


# --- closing and refunding ------------------------------------------------------------------------


def close(call: Call) -> dict[str, Any]:
    """Close an unpaid trade; a notice TRADE_CLOSED follows."""
    order = _trade(call)
    try:
        books.close_order(order=order, now=call.now)
    except books.NotClosable:
        raise BusinessRefusal("ACQ.TRADE_STATUS_ERROR") from None
    return {"out_trade_no": order.out_trade_no, "trade_no": order.trade_no}


def cancel(call: Call) -> dict[str, Any]:
    """End a trade whatever its state: unpaid is closed, paid is refunded."""
    order = _trade(call)
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
    number = f"cancel_{order.out_trade_no}"[:64]
    if Refund.objects.filter(order=order, out_refund_no=number).exists():
        return {**answer, "action": "refund"}
    if order.refundable_fen <= 0:
        raise BusinessRefusal("ACQ.REASON_TRADE_REFUND_FEE_ERR", retry_flag="N")
    _check_balance()
    _refund(call, order, number, order.refundable_fen, "撤销")
    return {**answer, "action": "refund"}


def refund(call: Call) -> dict[str, Any]:
    """Refund all or part. The same number and amount again moves no money: fund_change N."""
    order = _trade(call)
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
    _check_balance()
    done = _refund(call, order, number, amount, reason)
    if done is None:  # another call with this number was quicker
        known = Refund.objects.get(order=order, out_refund_no=number)
        return _refund_again(order, known, amount)
    return _refund_answer(order, done, changed=done.state == RefundState.SUCCESS)


def _check_balance() -> None:
    if faults.take("not_enough", platform=Platform.ALIPAY) is not None:
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
    order = _trade(call)
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


# --- who is the buyer -----------------------------------------------------------------------------


def oauth_token(call: Call) -> dict[str, Any]:
    """Exchange the single-use auth_code for the buyer's id; no ``code`` in a good answer."""
    if call.params.get("grant_type") != "authorization_code":
        raise OAuthRefusal("isv.grant-type-invalid", "授权类型无效")
    with transaction.atomic():
        code = OAuthCode.objects.filter(
            platform=Platform.ALIPAY,
            app_id=call.merchant.app_id,
            code=call.params.get("code", ""),
            used_at=None,
            expires_at__gt=call.now,
        ).first()
        if code is None or not OAuthCode.objects.filter(pk=code.pk, used_at=None).update(
            used_at=call.now
        ):
            raise OAuthRefusal("isv.code-invalid", "授权码code无效")
    return {
        "user_id": code.payer_id,
        "access_token": f"authbseB{secrets.token_hex(16)}",
        "expires_in": TOKEN_LIFE_SECONDS,
        "refresh_token": f"authbseB{secrets.token_hex(16)}",
        "re_expires_in": TOKEN_LIFE_SECONDS,
        "auth_start": clock.beijing_text(call.now),
    }


# --- bills ----------------------------------------------------------------------------------------


def bill_address(call: Call) -> dict[str, Any]:
    """The address of a bill, good for 30 seconds. Not before 9 o'clock on the day after."""
    kind = wire.text(call.biz, "bill_type", longest=20, needed=True)
    wanted = wire.text(call.biz, "bill_date", longest=15, needed=True)
    try:
        period = bills.period_of(wanted)
    except ValueError:
        raise BusinessRefusal("INVAILID_ARGUMENTS", "参数不正确：bill_date") from None
    today = clock.beijing_date(call.now)
    if kind not in {"trade", "signcustomer"} or period.after > today or period.first.year < 2016:
        raise BusinessRefusal("INVAILID_ARGUMENTS", "参数不正确：bill_type或bill_date")
    hour = min(settings.SIMULATOR_BILL_HOUR, 9)
    ready = period.end + timedelta(hours=hour, days=2 if len(wanted) == 7 else 0)
    late = faults.take("bill_late", platform=Platform.ALIPAY) is not None
    content = (
        None
        if late or call.now < ready
        else bills.bill_zip(merchant=call.merchant, bill_type=kind, period=period, now=call.now)
    )
    if content is None:
        # The platform answers an empty day and one that is not ready with the same words.
        raise BusinessRefusal("isp.bill_not_exist", "BILL_NOT_EXIST 账单不存在")
    bill = BillFile.objects.create(
        merchant=call.merchant,
        token=secrets.token_urlsafe(24),
        filename=f"{call.merchant.merchant_no}0156_{period.label}.zip",
        content=content,
        expires_at=call.now + BILL_LINK_LIFE,
    )
    query_string = urlencode(
        {
            "bizType": kind,
            "userId": f"{call.merchant.merchant_no}0156",
            "fileType": "csv.zip",
            "downloadFileName": bill.filename,
            "fileId": bill.token,
        }
    )
    origin = settings.SIMULATOR_ORIGIN
    return {"bill_download_url": f"{origin}/alipay/billdownload?{query_string}"}


METHODS: dict[str, Callable[[Call], dict[str, Any]]] = {
    "alipay.trade.precreate": precreate,
    "alipay.trade.create": create,
    "alipay.trade.query": query,
    "alipay.trade.close": close,
    "alipay.trade.cancel": cancel,
    "alipay.trade.refund": refund,
    "alipay.trade.fastpay.refund.query": refund_query,
    "alipay.system.oauth.token": oauth_token,
    "alipay.data.dataservice.bill.downloadurl.query": bill_address,
}
PAGE_METHODS = frozenset({"alipay.trade.wap.pay", "alipay.trade.page.pay"})
