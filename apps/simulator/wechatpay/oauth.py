"""WeChat's page authorisation (open.weixin.qq.com and api.weixin.qq.com), and the H5 cashier page."""

from __future__ import annotations

import json
import secrets
from datetime import timedelta
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_http_methods

from apps.simulator import books, clock
from apps.simulator.models import Merchant, OAuthCode, Order, Platform, Product
from apps.simulator.payers import BROWSER_COOKIE, PAYERS, USER_COOKIE, payer_for

CODE_LIFETIME = timedelta(minutes=5)
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


def _page(request: HttpRequest, title: str, status: int = 200) -> HttpResponse:
    return render(request, "simulator/wechatpay_message.html", {"title": title}, status=status)


def inside_browser(request: HttpRequest, url: str) -> str:
    """The URL with the origin of the wallet's browser, if one is open; its cookie names the origin."""
    origin = urlsplit(request.COOKIES.get(BROWSER_COOKIE, ""))
    if origin.scheme != "http" or origin.hostname not in _LOOPBACK:
        return url
    return urlunsplit(urlsplit(url)._replace(scheme=origin.scheme, netloc=origin.netloc))


@require_GET
def authorize(request: HttpRequest) -> HttpResponse:
    """GET /connect/oauth2/authorize: silent, back to redirect_uri?code&state at once."""
    in_wechat = "MicroMessenger" in request.headers.get("User-Agent", "")
    if not in_wechat and not request.COOKIES.get(BROWSER_COOKIE):
        return _page(request, "请在微信客户端打开链接")
    app_id = request.GET.get("appid", "")
    if not Merchant.objects.filter(platform=Platform.WECHATPAY, app_id=app_id).exists():
        return _page(request, "Oops! Something went wrong:( 10013 invalid appid")
    scope = request.GET.get("scope", "")
    if request.GET.get("response_type") != "code" or scope not in (
        "snsapi_base",
        "snsapi_userinfo",
    ):
        return _page(request, "Scope 参数错误或没有 Scope 权限")
    target = request.GET.get("redirect_uri", "")
    parts = urlsplit(target)
    if parts.scheme not in ("http", "https") or not parts.netloc:
        return _page(request, "10003 redirect_uri域名与后台配置不一致")
    payer = payer_for(request.COOKIES.get(USER_COOKIE))
    code = OAuthCode.objects.create(
        platform=Platform.WECHATPAY,
        app_id=app_id,
        code=secrets.token_hex(16),
        scope=scope,
        payer_id=payer.openid(app_id),
        expires_at=clock.now() + CODE_LIFETIME,
    )
    pairs = [
        *parse_qsl(parts.query, keep_blank_values=True),
        ("code", code.code),
        ("state", request.GET.get("state", "")),
    ]
    back = urlunsplit(parts._replace(query=urlencode(pairs), fragment=""))
    return HttpResponseRedirect(inside_browser(request, back))


def _said(body: dict[str, object]) -> HttpResponse:
    # The real host answers JSON as text/plain, errors with status 200.
    return HttpResponse(json.dumps(body), content_type="text/plain; charset=utf-8")


@require_GET
def access_token(request: HttpRequest) -> HttpResponse:
    """GET /sns/oauth2/access_token?appid&secret&code&grant_type=authorization_code -> openid.

    Errors: 40013 appid, 40125 secret, 40029 code, 40163 code used, 40002 grant_type.
    """
    app_id = request.GET.get("appid", "")
    merchant = Merchant.objects.filter(platform=Platform.WECHATPAY, app_id=app_id).first()
    if merchant is None:
        return _said({"errcode": 40013, "errmsg": "invalid appid"})
    if request.GET.get("secret", "") != merchant.config["app_secret"]:
        return _said({"errcode": 40125, "errmsg": "invalid appsecret"})
    if request.GET.get("grant_type") != "authorization_code":
        return _said({"errcode": 40002, "errmsg": "invalid grant_type"})
    now = clock.now()
    code = OAuthCode.objects.filter(
        platform=Platform.WECHATPAY, app_id=app_id, code=request.GET.get("code", "")
    ).first()
    if code is None or code.expires_at <= now:
        return _said({"errcode": 40029, "errmsg": "invalid code"})
    if not OAuthCode.objects.filter(pk=code.pk, used_at=None).update(used_at=now):
        return _said({"errcode": 40163, "errmsg": "code been used"})
    return _said(
        {
            "access_token": secrets.token_urlsafe(48),
            "expires_in": 7200,
            "refresh_token": secrets.token_urlsafe(48),
            "openid": code.payer_id,
            "scope": code.scope,
        }
    )


def _h5_order(request: HttpRequest) -> Order | None:
    code = request.GET.get("prepay_id", "")
    order = books.order_by_code(platform=Platform.WECHATPAY, code=code)
    return order if order is not None and order.product == Product.H5 else None


@csrf_exempt
@require_http_methods(["GET", "POST"])
def check_mweb(request: HttpRequest) -> HttpResponse:
    """The page behind an h5_url: the phone's browser, outside WeChat; pay or leave, then redirect_url."""
    if "MicroMessenger" in request.headers.get("User-Agent", ""):
        return _page(request, "请在微信外打开订单，进行支付")
    order = _h5_order(request)
    if order is None:
        return _page(request, "支付请求已失效，请重新发起支付")
    note = ""
    if request.method == "POST":
        try:
            if request.POST.get("action") == "pay":
                payer = payer_for(request.POST.get("payer"))
                books.pay_order(order=order, payer=payer, now=clock.now())
            else:
                books.abandon_order(order=order, now=clock.now())
        except books.NotPayable as error:
            note = error.reason
        else:
            target = request.GET.get("redirect_url", "")
            if urlsplit(target).scheme in ("http", "https"):
                return HttpResponseRedirect(target)
    order.refresh_from_db()
    return render(
        request,
        "simulator/wechatpay_h5.html",
        {"order": order, "note": note, "payers": PAYERS.values()},
    )
