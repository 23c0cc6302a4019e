"""The WAP2 gateway: a wallet's browser is sent here, pays at the wallet's cashier, and is sent back (dossier 2.6)."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Final
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from apps.simulator import books, clock, faults
from apps.simulator.models import Order, OrderState, Platform, Product, Terminal
from apps.simulator.payers import BROWSER_COOKIE
from apps.simulator.shouqianba import fields, objects, orders, payways, signing, terminals
from apps.simulator.shouqianba.errors import MESSAGES, BusinessRefusal, EnvelopeRefusal
from apps.simulator.wallet import browser
from apps.simulator.wallet.wallets import WALLETS

#: What a wallet's browser has in its User-Agent; bank apps add several, so UnionPay's is looked for first.
_TOKENS: Final = (
    (Platform.UNIONPAY.value, "unionpay/"),
    (Platform.WECHATPAY.value, "micromessenger"),
    (Platform.ALIPAY.value, "alipayclient"),
)
_DEFAULT_PAYWAY: Final = "3"
_ANY_WALLET: Final = (
    "请在微信、支付宝或云闪付中打开此页面。Open this page in WeChat, Alipay or UnionPay QuickPass."
)
_OUTCOMES: Final = {
    "fail": "get_brand_wcpay_request:fail",
    "cancel": "get_brand_wcpay_request:cancel",
}


def wallet_of(request: HttpRequest) -> str:
    """The wallet in whose browser this page was opened, "" for another browser.

    The simulated in-app browsers are proxies in front of the portal: on the way here only their cookie is left.
    """
    agent = request.headers.get("User-Agent", "").lower()
    by_agent = next((wallet for wallet, token in _TOKENS if token in agent), "")
    origin = request.COOKIES.get(BROWSER_COOKIE, "")
    by_cookie = next((name for name in WALLETS if origin == browser.origin_of(name)), "")
    return by_agent or by_cookie


@never_cache
@require_GET
def gateway(request: HttpRequest) -> HttpResponse:
    """Check the signed link, write the order, and open the wallet's cashier; it lives for ninety seconds.

    Until the signature is good nothing in the link is believed, its return_url neither: then a page says what is
    wrong. Afterwards refusals go back to return_url.
    """
    broken = faults.take("http_500", platform=Platform.SHOUQIANBA, path=request.path)
    if broken is not None:
        return HttpResponse(b"<h1>500 Internal Server Error</h1>", status=500)
    slow = faults.take("slow", platform=Platform.SHOUQIANBA, path=request.path)
    if slow is not None:
        time.sleep(float(slow["seconds"]))
    wallet = wallet_of(request)
    if not wallet:
        return _page(request, "", "", _ANY_WALLET)
    params = request.GET.dict()
    now = clock.now()
    try:
        terminal = _checked(params, path=request.path, now=now)
    except EnvelopeRefusal as refusal:
        return _page(request, wallet, refusal.code, refusal.message)
    try:
        order = _order(terminal, params, wallet=wallet, now=now)
    except _WrongWallet as wrong:
        return _page(request, wallet, "", str(wrong))
    except EnvelopeRefusal as refusal:
        return _refused(request, terminal, params, refusal.code, refusal.message)
    except BusinessRefusal as refusal:
        return _refused(request, terminal, params, refusal.code, MESSAGES[refusal.code])
    # Relative: the wallet's cashier is on this machine, whatever name the browser knows it by.
    return HttpResponseRedirect(reverse("wallet-cashier", args=[wallet, order.trade_no]))


class _WrongWallet(Exception):
    """The link is for another wallet than the one that opened it."""


def _checked(params: dict[str, str], *, path: str, now: datetime) -> Terminal:
    """The terminal whose key of today signed the link. Raises EnvelopeRefusal."""
    terminal = terminals.by_sn(params.get("terminal_sn", ""))
    terminals.revoke_by_fault(terminal, path=path)
    key = terminal.current_key
    if not key or params.get("sign", "") != signing.gateway_sign(params, key):
        raise EnvelopeRefusal("ILLEGAL_SIGN")
    if terminals.is_stale(terminal, now=now):
        raise EnvelopeRefusal("ILLEGAL_SIGN", "签名错误，终端密钥已过期，请签到")
    return terminal


def _order(terminal: Terminal, params: dict[str, str], *, wallet: str, now: datetime) -> Order:
    """The order of a link: a new one, or the unpaid one that the very same link made before, since people reload.

    Raises EnvelopeRefusal, BusinessRefusal, _WrongWallet.
    """
    values = fields.read(params, fields.GATEWAY)
    payway = values["payway"] or _DEFAULT_PAYWAY
    wanted = orders.wallet_of_payway(payway)
    if wanted != wallet:
        right = WALLETS[wanted]
        raise _WrongWallet(f"请在{right.app}中打开此页面。Open this page in {right.english}.")
    known = books.order_by_no(merchant=terminal.merchant, out_trade_no=values["client_sn"])
    if known is not None:
        known = books.refresh(order=known, now=now)
        if known.state == OrderState.WAITING and known.extra.get("link_sign") == values["sign"]:
            return known
    return orders.place(
        terminal=terminal,
        values=values,
        product=Product.WAP2,
        payway=payway,
        sub_payway=payways.WAP,
        wallet=wallet,
        life=orders.WAP_LIFE,
        now=now,
        return_url=values["return_url"],
        extra={"link_sign": values["sign"]},
    )


def _page(request: HttpRequest, wallet: str, code: str, message: str) -> HttpResponse:
    context = {
        "platform": wallet or Platform.WECHATPAY,
        "message": message,
        "code": code,
    }
    return render(request, "simulator/wallet/refused.html", context, status=400)


def _refused(
    request: HttpRequest, terminal: Terminal, params: dict[str, str], code: str, message: str
) -> HttpResponse:
    target = params.get("return_url", "")
    if not target.startswith(("http://", "https://")):
        return _page(request, wallet_of(request), code, message)
    told = {
        "is_success": "F",
        "error_code": code,
        "error_message": message,
        "terminal_sn": terminal.terminal_sn,
        "client_sn": params.get("client_sn", ""),
    }
    return HttpResponseRedirect(browser.back_through(request, _with(target, told, terminal)))


def return_address(order: Order, *, outcome: str = "ok") -> str:
    """The return_url with the signed result; ``outcome`` "ok", "fail" or "cancel". It proves no payment."""
    if not order.return_url.startswith(("http://", "https://")):
        return ""
    terminal = Terminal.objects.get(terminal_sn=order.extra["terminal_sn"])
    told = {
        "is_success": "T",
        "terminal_sn": terminal.terminal_sn,
        "sn": order.trade_no,
        "trade_no": objects.channel_no(order) if order.state == OrderState.PAID else "",
        "client_sn": order.out_trade_no,
        "status": "SUCCESS" if outcome == "ok" else "FAIL",
        "total_amount": str(order.amount_fen),
        "subject": order.description,
        "operator": str(order.extra.get("operator", "")),
        "reflect": order.attach,
    }
    if outcome != "ok":
        told |= {"result_code": _OUTCOMES[outcome], "result_message": _OUTCOMES[outcome]}
    return _with(order.return_url, told, terminal)


def _with(target: str, told: dict[str, str], terminal: Terminal) -> str:
    fields_told = {name: value for name, value in told.items() if value}
    stranger = faults.take("wrong_signature", platform=Platform.SHOUQIANBA) is not None
    key = "stranger" if stranger else terminal.current_key
    fields_told["sign"] = signing.gateway_sign(fields_told, key)
    joint = "&" if "?" in target else "?"
    return target + joint + urlencode(fields_told)
