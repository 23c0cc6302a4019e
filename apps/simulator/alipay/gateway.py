"""The gateway: reads a call, verifies it as the platform does, and signs what it answers.

Without ``charset`` in the query string everything is read and answered as GBK (dossier B2).
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt

from apps.simulator import clock, faults, keys, skew
from apps.simulator.alipay import certificates, methods, signing
from apps.simulator.alipay.calls import Call, OAuthRefusal
from apps.simulator.alipay.trades import page_pay
from apps.simulator.alipay.wire import BusinessRefusal, GatewayRefusal, fen, yuan
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


def read_call(fields: dict[bytes, bytes], *, charset: str, now: datetime) -> Call:
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
        sent_at = datetime.strptime(params["timestamp"] + " +0800", "%Y-%m-%d %H:%M:%S %z")
    except ValueError:
        raise GatewayRefusal("40002", "isv.invalid-timestamp", "非法的时间戳参数") from None
    _check_time(sent_at)
    merchant = Merchant.objects.filter(platform=Platform.ALIPAY, app_id=params["app_id"]).first()
    if merchant is None:
        raise GatewayRefusal("40002", "isv.invalid-app-id", "无效的AppID参数")
    _check_serials(merchant, params)
    if not keys.rsa_verify(
        merchant.config["app_public_key"], signing.request_text(fields), params["sign"]
    ):
        raise GatewayRefusal(
            "40002", "isv.invalid-signature", "验签出错，请检查签名、密钥与字符集是否匹配"
        )
    return Call(
        merchant=merchant,
        method=method,
        params=params,
        biz=_biz(params.get("biz_content", "")),
        charset="utf-8" if charset == "utf-8" else "GBK",
        now=now,
    )


def _check_time(sent_at: datetime) -> None:
    """While the platform's clock is wrong it refuses what is too far from it."""
    window = timedelta(minutes=settings.SIMULATOR_ALIPAY_TIMESTAMP_MINUTES)
    if skew.ahead(Platform.ALIPAY) and abs(sent_at - skew.now(Platform.ALIPAY)) > window:
        raise GatewayRefusal("40002", "isv.invalid-timestamp", "非法的时间戳参数")


def _check_serials(merchant: Merchant, params: dict[str, str]) -> None:
    """In certificate mode a call names both certificates; the sub_codes of a wrong one are UNVERIFIED."""
    config = merchant.config
    if not certificates.in_use(config):
        return
    wanted = {
        "app_cert_sn": certificates.serial_of(config["app_certificate"]),
        "alipay_root_cert_sn": certificates.root_serial_of(config["alipay_root_certificate"]),
    }
    for name, serial in wanted.items():
        spelled = name.replace("_", "-")
        if not params.get(name):
            raise GatewayRefusal("40001", f"isv.missing-{spelled}", f"缺少参数：{name}")
        if params[name] != serial:
            raise GatewayRefusal("40002", f"isv.invalid-{spelled}", "证书序列号与应用不匹配")


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


def _api(request: HttpRequest, call: Call) -> HttpResponse:
    if call.fault("http_500") is not None:
        return HttpResponse("<h1>500 Internal Server Error</h1>", status=500)
    node = call.method.replace(".", "_") + "_response"
    if call.fault("rate_limited") is not None:
        fields: dict[str, Any] = LIMITED
    else:
        try:
            fields = methods.METHODS[call.method](call)
            if "access_token" not in fields:
                fields = {"code": "10000", "msg": "Success", **fields}
        except BusinessRefusal as refusal:
            fields = refusal.fields
        except OAuthRefusal as refusal:
            node, fields = "error_response", refusal.fields
    slow = call.fault("slow")
    if slow is not None:
        time.sleep(float(slow["seconds"]))
    lost = call.fault("lost_after_commit")
    if lost is not None:
        return faults.lost_response(lost)
    text = signing.answer_json(_lying(call, fields))
    signer = _signer(call)
    signature = signing.sign(text, private_key=signer.private_key, charset=call.charset)
    serial = f',"alipay_cert_sn":"{signer.serial}"' if signer.serial else ""
    return _answer(f'{{"{node}":{text}{serial},"sign":"{signature}"}}', call.charset)


def _lying(call: Call, fields: dict[str, Any]) -> dict[str, Any]:
    """The faults other_amount and other_merchant: a true signature under what is not true."""
    told = dict(fields)
    if "total_amount" in told:
        more = call.fault("other_amount")
        if more is not None:
            told["total_amount"] = yuan(
                fen(told["total_amount"], "total_amount") + int(more["fen"])
            )
    if "out_trade_no" in told and call.fault("other_merchant") is not None:
        told["out_trade_no"] = "P00000000000"
    return told


def _signer(call: Call) -> certificates.Signer:
    """Who signs this answer. Faults: wrong_signature, foreign_certificate, expired_certificate."""
    signer = certificates.signer_of(call.merchant.config)
    if call.fault("wrong_signature") is not None:
        return replace(signer, private_key=keys.stranger_key())
    if signer.serial and call.fault("foreign_certificate") is not None:
        return certificates.foreign_signer()
    if signer.serial and call.fault("expired_certificate") is not None:
        return certificates.expired_signer(call.merchant.config)
    return signer


def _answer(text: str, charset: str) -> HttpResponse:
    return HttpResponse(
        text.encode(charset, "replace"), content_type=f"text/html;charset={charset}"
    )


def _page(request: HttpRequest, call: Call) -> HttpResponse:
    """wap.pay and page.pay: send the browser on to the cashier, or tell it why not."""
    try:
        order = page_pay(call)
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
