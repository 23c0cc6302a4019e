"""Ordering, querying and closing (dossier A2)."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta

from apps.simulator import books, clock
from apps.simulator.models import Order, OrderState, Product
from apps.simulator.payers import PAYERS
from apps.simulator.wechatpay import fields, objects
from apps.simulator.wechatpay.endpoint import Answer, Call, api
from apps.simulator.wechatpay.errors import ApiError, param_error

#: How long a prepay_id or code_url and an h5_url can be paid by.
CODE_LIFETIME = timedelta(hours=2)
H5_LIFETIME = timedelta(minutes=5)
ORDER_LIFETIME = timedelta(days=7)
#: The farthest time_expire, by product.
LONGEST: dict[str, timedelta] = {
    Product.JSAPI: timedelta(days=15),
    Product.NATIVE: timedelta(days=7),
    Product.H5: timedelta(days=15),
}


@api("POST")
def jsapi(call: Call) -> Answer:
    """POST /v3/pay/transactions/jsapi -> prepay_id."""
    fields.check(fields.JSAPI_ORDER, call.body)
    openid = call.body["payer"]["openid"]
    if openid not in {payer.openid(call.merchant.app_id) for payer in PAYERS.values()}:
        raise ApiError(400, "INVALID_REQUEST", "无效的openid")
    prepay_id = f"wx{_stamp(call.now)}{secrets.token_hex(9)}"
    _place(call, Product.JSAPI, code=prepay_id, lifetime=CODE_LIFETIME, payer_id=openid)
    return Answer(payload={"prepay_id": prepay_id})


@api("POST")
def native(call: Call) -> Answer:
    """POST /v3/pay/transactions/native -> code_url."""
    fields.check(fields.NATIVE_ORDER, call.body)
    code_url = f"weixin://wxpay/bizpayurl/up?pr={secrets.token_urlsafe(6)}&groupid=00"
    _place(call, Product.NATIVE, code=code_url, lifetime=CODE_LIFETIME)
    return Answer(payload={"code_url": code_url})


@api("POST")
def h5(call: Call) -> Answer:
    """POST /v3/pay/transactions/h5 -> h5_url, a page of ours on which the demo payer pays."""
    fields.check(fields.H5_ORDER, call.body)
    prepay_id = f"wx{_stamp(call.now)}{secrets.token_hex(9)}"
    _place(call, Product.H5, code=prepay_id, lifetime=H5_LIFETIME)
    return Answer(
        payload={
            "h5_url": f"{call.origin}/wechatpay/cgi-bin/mmpayweb-bin/checkmweb"
            f"?prepay_id={prepay_id}&package={secrets.randbelow(10**9)}"
        }
    )


def _stamp(at: datetime) -> str:
    return at.astimezone(clock.BEIJING).strftime("%d%H%M%S%f")[:14]


def check_identity(call: Call) -> None:
    """mchid and appid in the body are the caller's own. Raises ApiError."""
    merchant = call.merchant
    if call.body["mchid"] != merchant.merchant_no:
        raise param_error("/mchid", "与请求签名中的商户号不一致", call.body["mchid"])
    if call.body["appid"] != merchant.app_id:
        raise ApiError(400, "APPID_MCHID_NOT_MATCH", "商户号与appid不匹配")


def _expiry(call: Call, product: str) -> datetime:
    """When the order closes, on the simulated clock.

    The client's time_expire is read as so many seconds from *true* now: the client does not know
    that our clock may be shifted.
    """
    text = call.body.get("time_expire")
    if text is None:
        return call.now + ORDER_LIFETIME
    ahead = fields.parse_time(text, "/time_expire") - clock.real_now()
    # A client in a hurry loses some of its minute on the way.
    if ahead < timedelta(seconds=50):
        raise param_error("/time_expire", "订单失效时间距当前时间不得小于1分钟", text)
    if ahead > LONGEST[product] + timedelta(minutes=5):
        raise param_error("/time_expire", "订单失效时间超过最大值", text)
    return call.now + ahead


def _place(call: Call, product: str, *, code: str, lifetime: timedelta, payer_id: str = "") -> None:
    """Write the order, or give the same unpaid order a new code. Raises ApiError."""
    body, merchant = call.body, call.merchant
    check_identity(call)
    fields.check_notify_url(body["notify_url"])
    existing = books.order_by_no(merchant=merchant, out_trade_no=body["out_trade_no"])
    if existing is None:
        expires_at = _expiry(call, product)
        try:
            books.create_order(
                merchant=merchant,
                product=product,
                out_trade_no=body["out_trade_no"],
                amount_fen=body["amount"]["total"],
                now=call.now,
                expires_at=expires_at,
                description=body["description"],
                attach=body.get("attach", ""),
                notify_url=body["notify_url"],
                code_content=code,
                code_expires_at=min(call.now + lifetime, expires_at),
                payer_id=payer_id,
                request=body,
            )
        except books.OrderNumberUsed:
            existing = books.order_by_no(merchant=merchant, out_trade_no=body["out_trade_no"])
        else:
            return
    if existing is None:
        raise ApiError(500, "SYSTEM_ERROR", "系统异常，请稍后重试")
    _renew(call, books.refresh(order=existing, now=call.now), product, code, lifetime)


def _renew(call: Call, order: Order, product: str, code: str, lifetime: timedelta) -> None:
    if order.request != call.body or order.product != product:
        raise ApiError(403, "OUT_TRADE_NO_USED", "商户订单号重复，且请求参数与首次下单不一致")
    if order.state == OrderState.PAID:
        raise ApiError(400, "INVALID_REQUEST", "该订单已支付")
    if order.state == OrderState.CLOSED:
        raise ApiError(400, "ORDER_CLOSED", "订单已关闭，请重新下单")
    books.replace_code(
        order=order,
        code_content=code,
        code_expires_at=min(call.now + lifetime, order.expires_at),
    )


def _check_query_mchid(call: Call) -> None:
    mchid = call.query("mchid")
    if not mchid:
        raise param_error("mchid", "必填字段未填写", location="query")
    if mchid != call.merchant.merchant_no:
        raise param_error("mchid", "与请求签名中的商户号不一致", mchid, "query")


def _shown(call: Call, order: Order | None) -> Answer:
    if order is None:
        raise ApiError(404, "ORDER_NOT_EXIST", "订单不存在")
    current = books.refresh(order=order, now=call.now)
    return Answer(payload=objects.transaction(current))


@api("GET")
def query_by_number(call: Call, *, out_trade_no: str) -> Answer:
    """GET /v3/pay/transactions/out-trade-no/{out_trade_no}?mchid=."""
    _check_query_mchid(call)
    return _shown(call, books.order_by_no(merchant=call.merchant, out_trade_no=out_trade_no))


@api("GET")
def query_by_id(call: Call, *, transaction_id: str) -> Answer:
    """GET /v3/pay/transactions/id/{transaction_id}?mchid=: an unpaid order has no such number yet."""
    _check_query_mchid(call)
    order = books.order_by_trade_no(merchant=call.merchant, trade_no=transaction_id)
    if order is not None and order.state != OrderState.PAID:
        order = None
    return _shown(call, order)


@api("POST")
def close(call: Call, *, out_trade_no: str) -> Answer:
    """POST …/close -> 204; closing twice is fine, a paid order cannot be closed."""
    fields.check(fields.CLOSE, call.body)
    if call.body["mchid"] != call.merchant.merchant_no:
        raise param_error("/mchid", "与请求签名中的商户号不一致", call.body["mchid"])
    order = books.order_by_no(merchant=call.merchant, out_trade_no=out_trade_no)
    if order is None:
        raise ApiError(404, "ORDER_NOT_EXIST", "订单不存在")
    if order.product == Product.BARCODE:
        raise ApiError(400, "INVALID_REQUEST", "付款码支付的订单不能关单，请使用撤销")
    current = books.refresh(order=order, now=call.now)
    try:
        if current.state != OrderState.CLOSED:
            books.close_order(order=current, now=call.now)
    except books.NotClosable as error:
        if error.reason == "paid":
            raise ApiError(403, "TRADE_ERROR", "该订单已支付，不能关闭") from error
    return Answer(payload=None)
