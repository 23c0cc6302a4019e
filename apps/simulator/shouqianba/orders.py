"""POST /upay/v2/pay, precreate and query (dossier 2.5)."""

from __future__ import annotations

import json
import secrets
from datetime import datetime, timedelta
from typing import Any

from apps.simulator import books, clock, keys, paycodes
from apps.simulator.models import Merchant, Order, Platform, Product, Terminal
from apps.simulator.shouqianba import fields, objects, payways, veils
from apps.simulator.shouqianba.endpoint import Call, api
from apps.simulator.shouqianba.errors import BusinessRefusal, biz, invalid_params

#: How long a precreated code can be paid; a payer may take to type the password; a WAP page can be paid.
CODE_LIFE = timedelta(seconds=240)
PASSWORD_TIME = timedelta(seconds=40)
WAP_LIFE = timedelta(seconds=90)
_NEVER = timedelta(days=3650)


# --- writing and finding --------------------------------------------------------------------------


def place(
    *,
    terminal: Terminal,
    values: dict[str, str],
    product: Product,
    payway: str,
    sub_payway: str,
    wallet: str,
    life: timedelta,
    now: datetime,
    **more: Any,
) -> Order:
    """Write the order. A client_sn is used up by its first call, however that ends.

    Raises BusinessRefusal (CLIENT_SN_CONFLICT).
    """
    merchant = terminal.merchant
    extra = {
        "terminal_sn": terminal.terminal_sn,
        "terminal_id": terminal_id(terminal),
        "payway": payway,
        "sub_payway": sub_payway,
        "operator": values["operator"],
        "description": values["description"],
        "channel_no": books.new_trade_no(wallet, now),
        **more.pop("extra", {}),
    }
    try:
        return books.create_order(
            merchant=merchant,
            product=product,
            out_trade_no=values["client_sn"],
            amount_fen=int(values["total_amount"]),
            now=now,
            expires_at=now + life,
            description=values["subject"],
            attach=values["reflect"],
            notify_url=values["notify_url"],
            wallet=wallet,
            request={name: value for name, value in values.items() if name not in _SECRET},
            extra=extra,
            **more,
        )
    except books.OrderNumberUsed:
        raise BusinessRefusal("CLIENT_SN_CONFLICT") from None


#: Never kept: the payer's code, and a signature that somebody could use again.
_SECRET = frozenset({"dynamic_id", "sign"})


def terminal_id(terminal: Terminal) -> str:
    """The platform's internal id of a terminal, beside its number."""
    digest = f"{terminal.pk:032x}"
    return "-".join((digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:]))


def find(call: Call, values: dict[str, str]) -> Order:
    """The order that a call names, as of now; sn (or the channel's trade number in its place) wins over client_sn.

    Only the terminal that made an order may ask about it; history that came into the books without a terminal is
    open to all of the merchant's. Raises EnvelopeRefusal, BusinessRefusal (UPAY_ORDER_NOT_EXISTS).
    """
    orders = Order.objects.filter(merchant=call.merchant)
    if values["sn"]:
        order = (
            orders.filter(trade_no=values["sn"]).first()
            or orders.filter(extra__channel_no=values["sn"]).first()
        )
    elif values["client_sn"]:
        order = orders.filter(out_trade_no=values["client_sn"]).first()
    else:
        raise invalid_params("sn与client_sn不能同时为空")
    if order is None or order.extra.get("terminal_sn", "") not in (
        "",
        call.terminal.terminal_sn,
    ):
        raise BusinessRefusal("UPAY_ORDER_NOT_EXISTS")
    return books.refresh(order=order, now=call.now)


def _free(merchant: Merchant, client_sn: str) -> None:
    """Raise BusinessRefusal if the number was ever used. The books hold it as well, against two calls at once."""
    if books.order_by_no(merchant=merchant, out_trade_no=client_sn) is not None:
        raise BusinessRefusal("CLIENT_SN_CONFLICT")


def wallet_of_payway(payway: str) -> str:
    """The simulated wallet of a payway. Raises EnvelopeRefusal or, for a payway that nobody here has, BusinessRefusal."""
    if payway in payways.WALLETS:
        return payways.WALLETS[payway]
    if payway in payways.OTHERS:
        raise BusinessRefusal("UNEXPECTED_PROVIDER_ERROR")
    raise invalid_params("payway取值不正确")


# --- pay ------------------------------------------------------------------------------------------


@api
def pay(call: Call) -> dict[str, Any]:
    """B扫C: take the payer's code. A payer who must type a password has forty seconds for it.

    Faults: pay_in_progress (the order hangs), pay_error (the platform does not know how it ended).
    """
    values = fields.read(call.body, fields.PAY)
    fields.check_extras(call.body)
    _free(call.merchant, values["client_sn"])
    digits = values["dynamic_id"]
    detected = paycodes.wallet_of(digits)
    if not values["payway"] and not detected:
        raise BusinessRefusal("INVALID_BARCODE", message="不合法的支付条码")
    # A payway switches the detection off: the code then goes to that channel, right or wrong.
    wallet = wallet_of_payway(values["payway"]) if values["payway"] else detected
    hanging = call.fault("pay_in_progress")
    life = PASSWORD_TIME
    if hanging is not None:
        seconds = hanging.get("seconds")
        life = _NEVER if seconds is None else timedelta(seconds=float(seconds))
    order = place(
        terminal=call.terminal,
        values=values,
        product=Product.BARCODE,
        payway=values["payway"] or payways.DETECTED[wallet],
        sub_payway=payways.BARCODE,
        wallet=wallet,
        life=life,
        now=call.now,
    )
    return _take(call, order, digits, hangs=hanging is not None)


def _take(call: Call, order: Order, digits: str, *, hangs: bool) -> dict[str, Any]:
    try:
        code = paycodes.take(digits=digits, wallet=order.wallet, order=order, now=call.now)
    except paycodes.CodeRefused as refusal:
        late = refusal.reason == "expired"
        return _pay_failed(call, order, "EXPIRED_BARCODE" if late else "INVALID_BARCODE")
    if hangs:
        return biz("PAY_IN_PROGRESS", data=objects.data(order, now=call.now))
    broken = call.fault("pay_error")
    if broken is not None and (broken["result"] == "PAY_FAIL" or not broken["paid"]):
        books.fail_order(order=order, code=str(broken["error_code"]), now=call.now)
        return _pay_unclear(call, order, broken)
    if broken is None and not paycodes.pays_at_once(code):
        return biz("PAY_IN_PROGRESS", data=objects.data(order, now=call.now))
    try:
        order = books.pay_order(order=order, payer=paycodes.payer_of(code), now=call.now)
    except books.NotPayable as refusal:
        poor = refusal.reason == "balance"
        return _pay_failed(call, order, "INSUFFICIENT_FUND" if poor else "TRADE_FAILED")
    if broken is not None:
        return _pay_unclear(call, order, broken)
    return biz("PAY_SUCCESS", data=objects.data(order, now=call.now))


def _pay_failed(call: Call, order: Order, error: str) -> dict[str, Any]:
    """The attempt is over and reversed: the payer owes nothing, the number is used up."""
    failed = books.fail_order(order=order, code=error, now=call.now)
    return biz("PAY_FAIL", error_code=error, data=objects.data(failed, now=call.now))


def _pay_unclear(call: Call, order: Order, broken: dict[str, Any]) -> dict[str, Any]:
    """The fault pay_error: the books know how it ended, the answers do not until value.seconds have passed."""
    result = str(broken["result"])
    if result != "PAY_FAIL":
        veils.cover(order=order, kind=veils.PAY, value=broken, now=call.now)
    current = books.refresh(order=order, now=call.now)
    return biz(
        result,
        error_code=str(broken["error_code"]),
        data=objects.data(current, now=call.now),
    )


# --- precreate ------------------------------------------------------------------------------------


@api
def precreate(call: Call) -> dict[str, Any]:
    """C扫B: a code (or what a wallet's page invokes) that lives four minutes, then the order is cancelled by itself.

    The fault precreate_error answers its value.result in place of the code.
    """
    values = fields.read(call.body, fields.PRECREATE)
    fields.check_extras(call.body)
    wallet = wallet_of_payway(values["payway"])
    way = values["sub_payway"] or payways.QR
    if way not in (payways.QR, payways.WAP, payways.MINI_PROGRAM):
        raise invalid_params("sub_payway取值不正确")
    _free(call.merchant, values["client_sn"])
    if way == payways.QR:
        order = place(
            terminal=call.terminal,
            values=values,
            product=Product.QR,
            payway=values["payway"],
            sub_payway=way,
            wallet=wallet,
            life=CODE_LIFE,
            now=call.now,
            code_content=payways.new_code(wallet),
        )
    else:
        order = _in_page(call, values, wallet, way)
    broken = call.fault("precreate_error")
    if broken is None:
        return biz("PRECREATE_SUCCESS", data=objects.data(order, now=call.now, with_code=True))
    result, error = str(broken["result"]), str(broken["error_code"])
    if result == "PRECREATE_FAIL":
        order = books.fail_order(order=order, code=error, now=call.now)
    return biz(result, error_code=error, data=objects.data(order, now=call.now))


def _in_page(call: Call, values: dict[str, str], wallet: str, way: str) -> Order:
    """sub_payway 3 and 4: parameters for the wallet's own script, for one payer."""
    if wallet == Platform.UNIONPAY:
        raise invalid_params("该支付方式不支持此sub_payway")
    if not values["payer_uid"]:
        raise invalid_params("payer_uid不可以为空")
    prepay = f"wx{clock.beijing_text(call.now)[:10].replace('-', '')}{secrets.token_hex(14)}"
    order = place(
        terminal=call.terminal,
        values=values,
        product=Product.JSAPI,
        payway=values["payway"],
        sub_payway=way,
        wallet=wallet,
        life=CODE_LIFE,
        now=call.now,
        payer_id=values["payer_uid"],
        code_content=prepay if wallet == Platform.WECHATPAY else None,
    )
    order.extra = {**order.extra, "wap_pay_request": json.dumps(_invocation(order))}
    order.save(update_fields=["extra"])
    return order


def _invocation(order: Order) -> dict[str, str]:
    if order.wallet == Platform.ALIPAY:
        return {"trade_no": objects.channel_no(order)}
    facts = {
        "appId": order.merchant.app_id,
        "timeStamp": str(int(clock.real_now().timestamp())),
        "nonceStr": secrets.token_hex(16),
        "package": f"prepay_id={order.code_content}",
    }
    key = str(order.merchant.config["platform_private_key"])
    return {**facts, "signType": "RSA", "paySign": keys.rsa_sign(key, invocation_text(facts))}


def invocation_text(params: dict[str, Any]) -> bytes:
    """What the wallet checks under ``paySign``: four values, each with a line feed."""
    names = ("appId", "timeStamp", "nonceStr", "package")
    return "".join(f"{params.get(name, '')}\n" for name in names).encode()


# --- query ----------------------------------------------------------------------------------------


@api
def query(call: Call) -> dict[str, Any]:
    """The state of an order and its latest record.

    That of an earlier refund is not to be had, and neither is the code: only precreate tells it.
    """
    order = find(call, fields.read(call.body, fields.QUERY))
    covered = objects.veil_of(order, now=call.now) is not None
    error = "" if covered else objects.error_of(order)
    return biz("SUCCESS", error_code=error, data=objects.data(order, now=call.now))
