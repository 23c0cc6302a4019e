"""The gateway: reads a call, verifies it as the platform does, and signs what it answers.

Without ``charset`` in the query string everything is read and answered as GBK (dossier B2).
"""

from __future__ import annotations

import json
import time
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt

from apps.simulator import clock, faults, keys
from apps.simulator.alipay import methods, signing
from apps.simulator.alipay.wire import BusinessRefusal, GatewayRefusal
from apps.simulator.models import Merchant, Order, Platform

CHARSETS = {"utf-8": "utf-8", "gbk": "gbk", "gb2312": "gbk", "gb18030": "gb18030"}
NEEDED = {
    "method": "isv.missing-method",
    "app_id": "isv.missing-app-id",
    "timestamp": "isv.missing-timestamp",
    "version": "isv.missing-version",
    "sign_type": "isv.missing-signature-type",
    "sign": "isv.missing-signature",
}
#: What an answer says to a call that the fault ``rate_limited`` hits (spelling UNVERIFIED).
LIMITED = {
    "code": "40005",
    "msg": "Call Limited",
    "sub_code": "isv.app-call-limited",
    "sub_msg": "应用调用次数超限",
}


@csrf_exempt
def gateway(request: HttpRequest) -> HttpResponse:
    """``/alipay/gateway.do``: API calls, and the browser redirects of the page products."""
    if request.method not in {"GET", "POST"}:
        return HttpResponseNotAllowed(["GET", "POST"])
    charset = "gbk"
    method = ""
    try:
        query = signing.raw_params(request.META.get("QUERY_STRING", "").encode("latin-1"))
        charset = _charset(query)
        body = signing.raw_params(request.body) if request.method == "POST" else {}
        call = read_call({**body, **query}, charset=charset, now=clock.now())
        method = call.method
        if method in methods.PAGE_METHODS:
            return _page(request, call)
        return _api(request, call)
    except GatewayRefusal as refusal:
        text = f'{{"error_response":{signing.answer_json(refusal.fields)}}}'
        return _answer(text, charset)
    except ValueError:
        return HttpResponse("Bad Request", status=400, content_type="text/plain")


def _charset(query: dict[bytes, bytes]) -> str:
    named = query.get(b"charset", b"gbk").decode("latin-1").lower()
    if named not in CHARSETS:
        raise GatewayRefusal("40002", "isv.invalid-charset", "字符集错误")
    return CHARSETS[named]


def read_call(fields: dict[bytes, bytes], *, charset: str, now: datetime) -> methods.Call:
    """Check the common parameters and the signature. Raises GatewayRefusal.

    The signature is checked over the raw bytes, so text in a wrong charset still passes it and
    arrives garbled, as it does at the real gateway.
    """
    params = {
        key.decode("latin-1"): value.decode(charset, "replace") for key, value in fields.items()
    }
    for name, sub_code in NEEDED.items():
        if not params.get(name):
            raise GatewayRefusal("40001", sub_code, f"缺少参数：{name}")
    method = params["method"]
    if method not in methods.METHODS and method not in methods.PAGE_METHODS:
        raise GatewayRefusal("40002", "isv.invalid-method", "不存在的方法名")
    if params["version"] != "1.0":
        raise GatewayRefusal("40002", "isv.invalid-version", "版本参数无效")
    if params.get("format", "JSON").lower() != "json":
        raise GatewayRefusal("40002", "isv.invalid-format", "无效的数据格式")
    if params["sign_type"] != "RSA2":
        raise GatewayRefusal("40002", "isv.invalid-signature-type", "无效签名类型")
    try:
        datetime.strptime(params["timestamp"] + " +0800", "%Y-%m-%d %H:%M:%S %z")
    except ValueError:
        raise GatewayRefusal("40002", "isv.invalid-timestamp", "非法的时间戳参数") from None
    merchant = Merchant.objects.filter(platform=Platform.ALIPAY, app_id=params["app_id"]).first()
    if merchant is None:
        raise GatewayRefusal("40002", "isv.invalid-app-id", "无效的AppID参数")
    if not keys.rsa_verify(
        merchant.config["app_public_key"], signing.request_text(fields), params["sign"]
    ):
        raise GatewayRefusal(
            "40002", "isv.invalid-signature", "验签出错，请检查签名、密钥与字符集是否匹配"
        )
    return methods.Call(
        merchant=merchant,
        method=method,
        params=params,
        biz=_biz(params.get("biz_content", "")),
        charset="utf-8" if charset == "utf-8" else "GBK",
        now=now,
    )


def _biz(text: str) -> dict[str, Any]:
    if not text:
        return {}
    try:
        biz = json.loads(text)
    except json.JSONDecodeError:
        raise GatewayRefusal("40002", "isv.invalid-parameter", "biz_content不是JSON") from None
    if not isinstance(biz, dict):
        raise GatewayRefusal("40002", "isv.invalid-parameter", "biz_content不是JSON对象")
    return biz


def _api(request: HttpRequest, call: methods.Call) -> HttpResponse:
    path = f"{request.path}/{call.method}"  # faults may be limited to one method

    def fault(key: str) -> dict[str, Any] | None:
        return faults.take(key, platform=Platform.ALIPAY, path=path)

    if fault("http_500") is not None:
        return HttpResponse("<h1>500 Internal Server Error</h1>", status=500)
    node = call.method.replace(".", "_") + "_response"
    if fault("rate_limited") is not None:
        fields: dict[str, Any] = LIMITED
    else:
        try:
            fields = methods.METHODS[call.method](call)
            if "access_token" not in fields:
                fields = {"code": "10000", "msg": "Success", **fields}
        except BusinessRefusal as refusal:
            fields = refusal.fields
        except methods.OAuthRefusal as refusal:
            node, fields = "error_response", refusal.fields
    slow = fault("slow")
    if slow is not None:
        time.sleep(float(slow["seconds"]))
    lost = fault("lost_after_commit")
    if lost is not None:
        return faults.lost_response(lost)
    text = signing.answer_json(fields)
    stranger = fault("wrong_signature") is not None
    signature = signing.sign(
        text,
        private_key=keys.stranger_key()
        if stranger
        else call.merchant.config["platform_private_key"],
        charset=call.charset,
    )
    return _answer(f'{{"{node}":{text},"sign":"{signature}"}}', call.charset)


def _answer(text: str, charset: str) -> HttpResponse:
    return HttpResponse(
        text.encode(charset, "replace"), content_type=f"text/html;charset={charset}"
    )


def _page(request: HttpRequest, call: methods.Call) -> HttpResponse:
    """wap.pay and page.pay: send the browser on to the cashier, or tell it why not."""
    try:
        order = methods.page_pay(call)
    except BusinessRefusal as refusal:
        return render(
            request,
            "simulator/wallet/refused.html",
            {"platform": "alipay", "message": refusal.sub_msg, "code": refusal.sub_code},
            status=400,
        )
    # A cashier's address is relative to the simulator, whatever name the browser knows it by.
    return HttpResponseRedirect(f"/wallet/alipay/cashier/{order.trade_no}")


def return_address(order: Order, *, now: datetime) -> str:
    """The return_url with the signed result, "" if the order has none. It proves no payment."""
    if not order.return_url:
        return ""
    merchant = order.merchant
    charset = order.extra.get("charset", "utf-8")
    fields = {
        "app_id": merchant.app_id,
        "auth_app_id": merchant.app_id,
        "charset": charset,
        "method": f"{order.extra.get('method', 'alipay.trade.wap.pay')}.return",
        "out_trade_no": order.out_trade_no,
        "seller_id": merchant.merchant_no,
        "timestamp": clock.beijing_text(now),
        "total_amount": f"{order.amount_fen // 100}.{order.amount_fen % 100:02d}",
        "trade_no": order.trade_no,
        "version": "1.0",
    }
    fields["sign"] = signing.sign(
        signing.notice_text(fields),
        private_key=merchant.config["platform_private_key"],
        charset=charset,
    )
    fields["sign_type"] = "RSA2"
    joint = "&" if "?" in order.return_url else "?"
    return order.return_url + joint + urlencode(fields, encoding=charset)
