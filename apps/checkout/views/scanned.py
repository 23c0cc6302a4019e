"""The page behind a scanned code."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import urlsplit

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods

from apps.checkout.forms import PayForm
from apps.checkout.selectors import OpenedCode, open_order_by_token, opened_code
from apps.checkout.services import TooManyOrders, open_order_once
from apps.checkout.views.frame import (
    lead,
    order_address,
    payer_page,
    see_other,
    shop_facts,
    subject_of,
    user_agent,
    ways_here,
)
from apps.checkout.wallets import wallet_of
from apps.checkout.ways import Way, choose, wallets_inside
from apps.core import clock
from apps.core.doors import new_token
from apps.merchants.access import DoorRequest, actor_of, client_ip, door_view
from apps.payments.models import Order
from apps.payments.services import OrderNotPayable
from apps.payments.services.timing import LIFETIME
from apps.qrcodes.selectors import amount_of, usable
from apps.qrcodes.services import record_scan

#: What a code that takes no money answers: Gone where that is for good, Forbidden where it may change.
_REFUSALS = {"retired": 410, "expired": 410}
#: The signed cookie, seen by this code's page alone, that names the order which this browser opened last.
_OPENED = "pay_opened"


@payer_page
@door_view("qrcode")
@require_http_methods(["GET", "HEAD", "POST"])
def scan(request: DoorRequest) -> HttpResponse:
    """Show the shop and take the amount; a POST opens the order and leads on (303).

    A form with mistakes comes back with 422 and what was typed; a code that takes no payments gives a page that says
    what to do, with 410 (retired, expired) or 403 (paused, not yet valid, store closed); a shop without a platform that this browser
    could use gives 409 to a POST; too many orders at once give 429 and the form as it was filled in.
    """
    now = clock.now()
    opened = opened_code(request.door)
    if request.method == "GET" and not _from_our_pages(request):
        record_scan(code=opened.code, wallet=wallet_of(user_agent(request)).value, now=now)
    reason = usable(opened.code, now)
    if reason:
        facts = {
            "reason": str(reason),
            "code": opened.code,
            **shop_facts(request, opened.code.store, opened.code.scenario),
        }
        status = _REFUSALS.get(str(reason), 403)
        return render(request, "checkout/unusable.html", facts, status=status)
    ways = ways_here(request, opened.takers)
    fixed = amount_of(opened.code)
    if request.method != "POST":
        return _show(request, opened, ways, PayForm(fixed=fixed))
    form = PayForm(request.POST, fixed=fixed)
    if not form.is_valid():
        return _show(request, opened, ways, form, status=422)
    way = choose(ways, wallet=form.cleaned_data["wallet"]) or next(iter(ways), None)
    if way is None:
        return _show(request, opened, ways, form, status=409)
    try:
        order = open_order_once(
            code=opened.code,
            amount=form.cleaned_data["amount"],
            subject=subject_of(request, opened.code),
            note=form.cleaned_data["note"],
            nonce=form.cleaned_data["nonce"],
            client_ip=client_ip(request) or "",
            now=now,
            actor=actor_of(request),
        )
    except TooManyOrders as crowd:
        response = _show(request, opened, ways, form, status=429)
        response["Retry-After"] = str(crowd.seconds)
        return response
    except OrderNotPayable:
        # A form that was given up over and over again: a fresh one.
        return see_other(request.path)
    response = lead(request, order, way)
    _keep(request, response, opened, order)
    return response


def _keep(request: DoorRequest, response: HttpResponse, opened: OpenedCode, order: Order) -> None:
    """Let this browser find its order again, should it come back from the cashier's page to the empty form."""
    response.set_signed_cookie(
        _OPENED,
        order.token,
        salt=f"{_OPENED}/{opened.code.pk}",
        max_age=int(LIFETIME.total_seconds()),
        path=request.path,
        secure=request.is_secure(),
        httponly=True,
        samesite="Lax",
    )


def _begun(request: DoorRequest, opened: OpenedCode, *, now: datetime) -> Order | None:
    """The order that this browser opened by this code and that can still be paid. No query without its cookie."""
    token = request.get_signed_cookie(
        _OPENED,
        default="",
        salt=f"{_OPENED}/{opened.code.pk}",
        max_age=int(LIFETIME.total_seconds()),
    )
    if not token:
        return None
    return open_order_by_token(token=token, code_id=opened.code.pk, now=now)


def _from_our_pages(request: HttpRequest) -> bool:
    """Whether the payer comes from one of these pages (another language, another try): that is no new scan."""
    before = urlsplit(request.headers.get("Referer", ""))
    return before.netloc == request.get_host() and before.path.startswith(("/q/", "/pay/"))


def _show(
    request: DoorRequest, opened: OpenedCode, ways: list[Way], form: PayForm, *, status: int = 200
) -> HttpResponse:
    code = opened.code
    here = wallet_of(user_agent(request)).value
    begun = _begun(request, opened, now=clock.now()) if request.method == "GET" else None
    context = {
        "form": form,
        "begun": begun,
        "begun_address": order_address(begun) if begun else "",
        "crowded": status == 429,
        "fixed": amount_of(code),
        "ways": [way for way in ways if not way.extra],
        "wallet": here,
        "others": [wallet.value for wallet in wallets_inside(opened.takers) if wallet != here],
        "nonce": form["nonce"].value() or new_token(20),
        **shop_facts(request, code.store, code.scenario),
    }
    return render(request, "checkout/scan.html", context, status=status)
