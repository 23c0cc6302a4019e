"""The wallet's pages: choose a wallet, scan, pay at the cashier, look at what was paid."""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.simulator import books, clock
from apps.simulator.alipay.gateway import return_address
from apps.simulator.models import Merchant, Order, OrderState, Platform, Product
from apps.simulator.payers import BROWSER_COOKIE, PAYERS, USER_COOKIE, Payer, payer_for
from apps.simulator.shouqianba import wap2
from apps.simulator.shouqianba.cashier import BadInvocation, order_of_invocation
from apps.simulator.unionpay.front import return_form
from apps.simulator.wallet import browser
from apps.simulator.wallet.scanner import Unreadable, classify, read_picture
from apps.simulator.wallet.wallets import WALLETS
from apps.simulator.wechatpay.cashier import BadPayCall, order_of_pay_call

REFUSALS = {
    "paid": "这笔订单已经支付过了。This order has been paid.",
    "closed": "订单已关闭。The order is closed.",
    "expired": "订单已过期。The order has expired.",
    "code_expired": "二维码已过期，请商家重新生成。The code has expired; ask for a new one.",
    "payer": "这笔订单属于另一位付款人。The order belongs to another payer.",
    "balance": "余额不足，支付失败。Not enough money; nothing was paid.",
}
UNKNOWN_CODE = "二维码无效或已被新的取代。The code is unknown, or a newer one has replaced it."
RECORDS = 50


def _shown(fen: int) -> str:
    """``123450`` fen as people read it: ``1,234.50``."""
    return f"{fen // 100:,}.{fen % 100:02d}"


def _payer(request: HttpRequest) -> Payer:
    return payer_for(request.COOKIES.get(USER_COOKIE))


def _context(request: HttpRequest, platform: str, **more: Any) -> dict[str, Any]:
    wallet = WALLETS.get(platform)
    return {
        "platform": platform,
        "wallet_name": wallet.name if wallet else "",
        "wallet_english": wallet.english if wallet else "",
        "payer": _payer(request),
        "payers": PAYERS.values(),
        **more,
    }


def _known(platform: str) -> None:
    if platform not in WALLETS:
        raise Http404


# --- wallets and scanning -------------------------------------------------------------------------


@never_cache
@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """Choose one of the wallets, and who one is."""
    context = _context(request, "", wallets=WALLETS.values())
    response = render(request, "simulator/wallet/home.html", context)
    # Whoever is back here has left the wallet's browser.
    response.delete_cookie(BROWSER_COOKIE, samesite="Lax")
    return response


@never_cache
@require_GET
def wallet(request: HttpRequest, platform: str) -> HttpResponse:
    """One wallet: scan, and the latest payments."""
    _known(platform)
    return _wallet_page(request, platform)


def _wallet_page(
    request: HttpRequest, platform: str, *, error: str = "", code: str = "", status: int = 200
) -> HttpResponse:
    context = _context(
        request,
        platform,
        error=error,
        code=code,
        records=_records(platform, _payer(request))[:5],
    )
    return render(request, "simulator/wallet/wallet.html", context, status=status)


@csrf_exempt
@require_POST
def choose_payer(request: HttpRequest) -> HttpResponse:
    """Become another wallet user."""
    payer = payer_for(request.POST.get("payer"))
    platform = request.POST.get("platform", "")
    target = reverse("wallet", args=[platform]) if platform in WALLETS else reverse("wallet-home")
    response = HttpResponseRedirect(target)
    response.set_cookie(USER_COOKIE, payer.key, samesite="Lax", httponly=True)
    return response


@csrf_exempt
@never_cache
@require_http_methods(["GET", "POST"])
def scan(request: HttpRequest, platform: str) -> HttpResponse:
    """Scan a code: ``code`` as text, or ``image`` as a picture of it."""
    _known(platform)
    text = (request.POST if request.method == "POST" else request.GET).get("code", "")
    picture = request.FILES.get("image")
    try:
        if picture is not None:
            text = read_picture(picture)
        scanned = classify(text)
    except Unreadable as problem:
        return _wallet_page(request, platform, error=str(problem), code=text[:200], status=400)
    if scanned.is_link:
        return _open_link(request, platform, scanned.text)
    if scanned.platform != platform:
        right = WALLETS[scanned.platform]
        error = (
            f"这是{right.name}的付款码，请用{right.name}扫一扫。This code is for {right.english}."
        )
        return _wallet_page(request, platform, error=error, code=scanned.text, status=400)
    order = books.order_by_code(platform=platform, code=scanned.text)
    if order is None:
        return _wallet_page(request, platform, error=UNKNOWN_CODE, code=scanned.text, status=404)
    problem_text = _not_scannable(order)
    if problem_text:
        return _wallet_page(request, platform, error=problem_text, code=scanned.text, status=410)
    _open_trade(order)
    return HttpResponseRedirect(reverse("wallet-cashier", args=[platform, order.trade_no]))


def _open_link(request: HttpRequest, platform: str, address: str) -> HttpResponse:
    if not browser.is_portal(address):
        error = (
            "模拟器只能打开商户后台的链接。"
            "The simulator opens only links of the portal it belongs to."
        )
        return _wallet_page(request, platform, error=error, code=address, status=400)
    response = HttpResponseRedirect(browser.inside(address, platform))
    browser.remember(response, platform)
    response.set_cookie(USER_COOKIE, _payer(request).key, samesite="Lax", httponly=True)
    return response


def _not_scannable(order: Order) -> str:
    now = clock.now()
    current = books.refresh(order=order, now=now)
    if current.state != OrderState.WAITING:
        return REFUSALS[_reason(current)]
    if current.code_expires_at is not None and now >= current.code_expires_at:
        return REFUSALS["code_expired"]
    return ""


def _reason(order: Order) -> str:
    if order.state == OrderState.CLOSED and order.extra.get("closed_by") == "expiry":
        return "expired"
    return order.state.lower()


def _open_trade(order: Order) -> Order:
    """A wallet opens the cashier: only now does Alipay have a trade, and its code's time is over."""
    now = clock.now()
    current = books.scan_order(order=order, now=now)
    if current.platform == Platform.ALIPAY and current.state == OrderState.WAITING:
        Order.objects.filter(pk=order.pk).update(code_expires_at=None)
        current.code_expires_at = None
    return current


# --- the cashier ----------------------------------------------------------------------------------


@csrf_exempt
@never_cache
@require_http_methods(["GET", "POST"])
def cashier(request: HttpRequest, platform: str, trade_no: str) -> HttpResponse:
    """The wallet's payment page of one order: its amount, its shop, pay or cancel."""
    _known(platform)
    order = books.orders_for_wallet(platform).filter(trade_no=trade_no).first()
    if order is None:
        raise Http404
    if request.method == "POST":
        return _cashier_action(request, order)
    current = _open_trade(order)
    return _cashier_page(request, current, done=request.GET.get("done", ""))


def _cashier_page(
    request: HttpRequest, order: Order, *, error: str = "", done: str = "", status: int = 200
) -> HttpResponse:
    state = order.state
    message = "" if state == OrderState.WAITING else REFUSALS[_reason(order)]
    if state == OrderState.PAID:
        step = "paid"
    elif state == OrderState.CLOSED:
        step = "closed"
    else:
        step = "cancelled" if done == "cancel" else "confirm"
    context = _context(
        request,
        order.charging,
        order=order,
        amount=_shown(order.amount_fen),
        shop=order.merchant.name,
        step=step,
        error=error,
        message=message,
        just_paid=done == "pay",
    )
    if order.product == Product.FRONT and step == "paid" and done == "pay":
        address, fields = return_form(order)
        context |= {"return_to": browser.back_through(request, address), "return_fields": fields}
    return render(request, "simulator/wallet/cashier.html", context, status=status)


def _cashier_action(request: HttpRequest, order: Order) -> HttpResponse:
    now = clock.now()
    here = reverse("wallet-cashier", args=[order.charging, order.trade_no])
    page_product = order.product in {Product.WAP, Product.PAGE}
    if request.POST.get("action") == "cancel":
        current = books.abandon_order(order=order, now=now)
        target = str(current.extra.get("quit_url", "")) if page_product else ""
        if order.product == Product.WAP2:
            target = wap2.return_address(current, outcome="cancel")
        if target.startswith(("http://", "https://")):
            return HttpResponseRedirect(browser.back_through(request, target))
        return HttpResponseRedirect(f"{here}?done=cancel")
    payer = payer_for(request.POST.get("payer") or request.COOKIES.get(USER_COOKIE))
    try:
        current = books.pay_order(order=order, payer=payer, now=now)
    except books.NotPayable as refusal:
        current = books.refresh(order=order, now=now)
        error = REFUSALS.get(refusal.reason, "支付失败。The payment failed.")
        return _cashier_page(request, current, error=error, status=409)
    target = return_address(current, now=now) if page_product else ""
    if order.product == Product.WAP2:
        target = wap2.return_address(current)
    if target.startswith(("http://", "https://")):
        response = HttpResponseRedirect(browser.back_through(request, target))
    else:
        response = HttpResponseRedirect(f"{here}?done=pay")
    response.set_cookie(USER_COOKIE, payer.key, samesite="Lax", httponly=True)
    return response


# --- records --------------------------------------------------------------------------------------


@never_cache
@require_GET
def records(request: HttpRequest, platform: str) -> HttpResponse:
    """What this wallet user has paid."""
    _known(platform)
    context = _context(request, platform, records=_records(platform, _payer(request)))
    return render(request, "simulator/wallet/records.html", context)


def _records(platform: str, payer: Payer) -> list[dict[str, Any]]:
    apps = Merchant.objects.filter(platform__in=(platform, Platform.SHOUQIANBA))
    ids = {payer.id_in(platform, app_id) for app_id in apps.values_list("app_id", flat=True)}
    orders = (
        books.orders_for_wallet(platform)
        .filter(payer_id__in=ids, state=OrderState.PAID)
        .select_related("merchant")
        .prefetch_related("refunds")
        .order_by("-paid_at", "-pk")[:RECORDS]
    )
    return [
        {
            "shop": order.merchant.name,
            "description": order.description,
            "amount": _shown(order.amount_fen),
            "refunded": _shown(order.refunded_fen) if order.refunded_fen else "",
            "paid_at": clock.beijing_text(order.paid_at or order.created_at),
            "trade_no": order.trade_no,
            "out_trade_no": order.out_trade_no,
        }
        for order in orders
    ]


# --- the bridge of the in-app browser -------------------------------------------------------------


class BridgeRefusal(Exception):
    """The wallet refuses what a page asked of the bridge; the message is shown in the sheet."""


@require_GET
def inapp_home(request: HttpRequest, platform: str) -> HttpResponse:
    """Leave the in-app browser."""
    _known(platform)
    response = HttpResponseRedirect(
        str(settings.SIMULATOR_ORIGIN) + reverse("wallet", args=[platform])
    )
    response.delete_cookie(BROWSER_COOKIE, samesite="Lax")
    return response


@csrf_exempt
@require_POST
def inapp_prepare(request: HttpRequest, platform: str) -> JsonResponse:
    """What the payment sheet shows, for the parameters that the page gave to the bridge."""
    _known(platform)
    try:
        order = _bridge_order(request, platform)
        problem = _not_scannable(order)
        if problem:
            raise BridgeRefusal(problem)
        current = _open_trade(order)
    except BridgeRefusal as refusal:
        return JsonResponse({"ok": False, "message": str(refusal)})
    return JsonResponse(
        {
            "ok": True,
            "shop": current.merchant.name,
            "amount": _shown(current.amount_fen),
            "description": current.description,
            "payer": _payer(request).name,
        }
    )


@csrf_exempt
@require_POST
def inapp_pay(request: HttpRequest, platform: str) -> JsonResponse:
    """Confirmed in the sheet: pay as the wallet's user."""
    _known(platform)
    try:
        order = _bridge_order(request, platform)
        books.pay_order(order=order, payer=_payer(request), now=clock.now())
    except BridgeRefusal as refusal:
        return JsonResponse({"ok": False, "message": str(refusal)})
    except books.NotPayable as refusal:
        text = REFUSALS.get(refusal.reason, "支付失败。The payment failed.")
        return JsonResponse({"ok": False, "message": text})
    return JsonResponse({"ok": True})


def _bridge_order(request: HttpRequest, platform: str) -> Order:
    try:
        params = json.loads(request.body)
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise BridgeRefusal("参数不是 JSON。The parameters are not JSON.") from None
    if not isinstance(params, dict):
        raise BridgeRefusal("参数不是对象。The parameters are not an object.")
    try:
        aggregated = order_of_invocation(wallet=platform, params=params)
    except BadInvocation as refusal:
        raise BridgeRefusal(f"{refusal} The wallet refuses the page's parameters.") from None
    if aggregated is not None:
        return aggregated
    if platform == Platform.UNIONPAY:
        raise BridgeRefusal("云闪付没有这个接口。This wallet's browser has no such bridge.")
    if platform == Platform.ALIPAY:
        order = Order.objects.filter(
            platform=platform, trade_no=str(params.get("tradeNO", ""))
        ).first()
        if order is None:
            raise BridgeRefusal("交易不存在 (tradeNO)。There is no such trade.")
        return order
    try:
        return order_of_pay_call(params=params)
    except BadPayCall as refusal:
        raise BridgeRefusal(f"{refusal} The wallet refuses the page's parameters.") from None
