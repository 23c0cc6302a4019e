"""The payer's own code in the wallet (付款码): shown for a till to scan, with the password when an order waits for it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_http_methods

from apps.simulator import books, clock, paycodes
from apps.simulator.models import OrderState, PayCode
from apps.simulator.payers import PAYERS, USER_COOKIE, payer_for
from apps.simulator.wallet import shapes
from apps.simulator.wallet.wallets import WALLETS

#: A code with less life than this is not shown any more: the till would come too late.
_FRESH = timedelta(seconds=5)
CHOICES = (
    (paycodes.PAYS, "免密支付", "Pays at once"),
    (paycodes.PASSWORD, "需要密码", "Asks for a password"),
    (paycodes.POOR, "余额不足", "Not enough money"),
)
PROBLEMS = {
    "over": "订单已结束，没有付款。The order is over; nothing was paid.",
    "unused": "还没有商家扫这个码。No till has scanned this code yet.",
    "balance": "余额不足，支付失败。Not enough money; nothing was paid.",
}


def step_of(code: PayCode) -> str:
    """``show`` (to be scanned), ``expired``, ``waiting`` (for the password), ``paid`` or ``failed``."""
    now = clock.now()
    if code.order is None:
        return "show" if code.used_at is None and code.expires_at > now else "expired"
    order = books.refresh(order=code.order, now=now)
    if order.state == OrderState.PAID:
        return "paid"
    # Alipay's trade waits longer than the payer may take for the password.
    too_late = order.code_expires_at is not None and order.code_expires_at <= now
    return "waiting" if order.state == OrderState.WAITING and not too_late else "failed"


@never_cache
@require_GET
def current(request: HttpRequest, platform: str) -> HttpResponse:
    """On to the code of the moment: one whose order waits, one that still lives, or a fresh one."""
    if platform not in WALLETS:
        raise Http404
    payer = payer_for(request.COOKIES.get(USER_COOKIE))
    wanted = request.GET.get("behaviour", "")
    behaviour = wanted if wanted in paycodes.BEHAVIOURS else paycodes.PAYS
    now = clock.now()
    code = None
    if not wanted:
        code = paycodes.waiting(wallet=platform, payer_key=payer.key).first()
    code = (
        code
        or PayCode.objects.filter(
            wallet=platform,
            payer_key=payer.key,
            behaviour=behaviour,
            used_at=None,
            expires_at__gt=now + _FRESH,
        ).first()
        or paycodes.issue(wallet=platform, payer_key=payer.key, behaviour=behaviour, now=now)
    )
    return HttpResponseRedirect(reverse("wallet-paycode", args=[platform, code.digits]))


@csrf_exempt
@never_cache
@require_http_methods(["GET", "POST"])
def shown(request: HttpRequest, platform: str, digits: str) -> HttpResponse:
    """One code: its digits, its barcode, and what became of it. POST is the payer's password."""
    code = _code(platform, digits)
    problem, status = "", 200
    if request.method == "POST":
        try:
            paycodes.confirm(digits=digits, now=clock.now())
        except (paycodes.NothingToConfirm, books.NotPayable) as refusal:
            problem, status = PROBLEMS.get(refusal.reason, PROBLEMS["over"]), 409
        else:
            return HttpResponseRedirect(reverse("wallet-paycode", args=[platform, digits]))
        code = _code(platform, digits)
    return render(
        request, "simulator/wallet/paycode.html", _context(code, problem=problem), status=status
    )


def _code(platform: str, digits: str) -> PayCode:
    if platform not in WALLETS:
        raise Http404
    code = (
        PayCode.objects.select_related("order__merchant")
        .filter(wallet=platform, digits=digits)
        .first()
    )
    if code is None:
        raise Http404
    return code


def _context(code: PayCode, *, problem: str) -> dict[str, Any]:
    wallet = WALLETS[code.wallet]
    again = reverse("wallet-paycode-current", args=[code.wallet])
    return {
        "platform": wallet.platform,
        "wallet_name": wallet.name,
        "wallet_english": wallet.english,
        "payer": payer_for(code.payer_key),
        "payers": PAYERS.values(),
        "code": code,
        "groups": [code.digits[at : at + 4] for at in range(0, len(code.digits), 4)],
        "step": step_of(code),
        "problem": problem,
        "bar": shapes.barcode(code.digits),
        "qr": shapes.matrix(code.digits),
        "choices": CHOICES,
        "again": f"{again}?{urlencode({'behaviour': code.behaviour})}",
        "seconds_left": max(1, int((code.expires_at - clock.now()).total_seconds())),
    }


@never_cache
@require_GET
def state(request: HttpRequest, platform: str, digits: str) -> JsonResponse:
    """What the page asks for again and again: ``{"step"}``."""
    return JsonResponse({"step": step_of(_code(platform, digits))})
