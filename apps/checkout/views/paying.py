"""The pages of one order: handing over to a platform, waiting, the result."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any

from csp.decorators import csp_update
from django.conf import settings
from django.http import HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import (
    require_GET,
    require_http_methods,
    require_POST,
    require_safe,
)

from apps.checkout import selectors
from apps.checkout.selectors import Standing
from apps.checkout.services import (
    PaymentHeld,
    authorize_address,
    begin_in_wechat,
    give_up,
    look,
    receipt_of,
    watch,
)
from apps.checkout.views.frame import (
    form_sources,
    lead,
    order_address,
    payer_page,
    see_other,
    shop_facts,
    speak,
    user_agent,
    ways_here,
)
from apps.checkout.wallets import Wallet, is_phone, wallet_of
from apps.checkout.ways import Way, choose, wallets_inside
from apps.core import clock
from apps.core.doors import new_token
from apps.merchants.access import DoorRequest, actor_of, client_ip, door_view
from apps.payments.models import Order, OrderState, Payment, PaymentState
from apps.payments.selectors import order_by_door
from apps.payments.services import HandoverFailed, OrderNotPayable
from apps.platforms.gateway import NotSupported, Platform, PlatformRejected, PlatformUnavailable
from apps.qrcodes.artwork import InvalidContent, qr_svg

#: Seconds for WeChat to send the payer back.
STATE_LIFE = 600
#: What platforms add to the address they send the payer back to.
_ADDED = {"out_trade_no", "trade_no", "sign"}


@csrf_exempt
@payer_page
@door_view("order")
@require_http_methods(["GET", "HEAD", "POST"])
def pay(request: DoorRequest) -> HttpResponse:
    """The state of an order and what can be done about it; the link to keep once it is paid.

    UnionPay sends the payer back by a POST of the payer's browser. What it says proves nothing, so it is not even read:
    the platform is asked when the page is opened.
    """
    now = clock.now()
    order = _order(request)
    if request.method == "POST" or _ADDED & request.GET.keys():
        return see_other(order_address(order))
    payments = look(order=order, now=now)
    where = selectors.standing(order, payments, now=now)
    context: dict[str, Any] = {
        "order": order,
        "standing": where.value,
        "mark": selectors.mark(order, payments, now=now),
        "link": f"{settings.PUBLIC_URL}{order_address(order)}",
        **_shop(request, order),
    }
    match where:
        case Standing.PAID:
            paid = selectors.paid(order, payments)
            context |= {"payment": paid.payment, "again": paid.again}
            if paid.payment is not None:
                context["wallet"] = selectors.wallet_of(paid.payment)
            kept = reverse("checkout:receipt", args=[receipt_of(order=order, now=now).token])
            context |= {"receipt": kept, "link": f"{settings.PUBLIC_URL}{kept}"}
            return render(request, "checkout/paid.html", context)
        case Standing.CLOSED:
            return render(request, "checkout/closed.html", context)
        case Standing.ASKING:
            return render(request, "checkout/asking.html", context)
        case Standing.OPEN:
            seconds = int((order.expires_at - now).total_seconds())
            context["seconds_left"] = seconds
            context["time_left"] = f"{seconds // 60:02d}:{seconds % 60:02d}"
            context |= _choice(request, order, payments, now=now)
            return render(request, "checkout/pay.html", context)


@payer_page
@door_view("order")
@require_GET
def pay_status(request: DoorRequest) -> HttpResponse:
    """Where the order stands, for the page that watches it: ``state``, ``mark`` (changes with the page), ``seconds_left``."""
    now = clock.now()
    order = _order(request)
    payments = watch(order=order, now=now)
    left = max(0, int((order.expires_at - now).total_seconds()))
    return JsonResponse(
        {
            "state": selectors.standing(order, payments, now=now).value,
            "mark": selectors.mark(order, payments, now=now),
            "seconds_left": left if order.state == OrderState.OPEN else 0,
        }
    )


@payer_page
@door_view("order")
@require_POST
def pay_start(request: DoorRequest, wallet: str) -> HttpResponse:
    """Start an attempt with a wallet, ``product`` naming the way where there are two."""
    order = _order(request)
    ways = _ways(request, order, selectors.payments_of(order))
    way = choose(ways, wallet=wallet, product=request.POST.get("product", ""))
    if way is None:
        return see_other(order_address(order))
    return lead(request, order, way)


@payer_page
@door_view("order")
@require_POST
def pay_cancel(request: DoorRequest) -> HttpResponse:
    """The payer gives the order up."""
    order = _order(request)
    give_up(order=order, now=clock.now(), actor=actor_of(request))
    return see_other(order_address(order))


@payer_page
@door_view("order")
@require_safe
def pay_leave(request: DoorRequest, wallet: str) -> HttpResponse:
    """A page that goes on to the platform's by itself: to an address, or by posting a form.

    Not a redirect: browsers hold a form's answer, with all its redirects, to the form-action of the policy.
    """
    now = clock.now()
    order = _order(request)
    payments = selectors.payments_of(order)
    payment = selectors.paying(payments, wallet, now=now)
    if selectors.standing(order, payments, now=now) is not Standing.OPEN or payment is None:
        return see_other(order_address(order))
    if form := payment.handover.get("form"):
        page = _leave(request, order, wallet, form=form)
        # Only this answer may post to the platform. The decorator marks the response for the policy's middleware.
        csp_update({"form-action": form_sources(form["url"])})(lambda _request: page)(request)
        return page
    address = payment.handover.get("redirect_url", "")
    if not address:
        return see_other(order_address(order))
    return _leave(request, order, wallet, address=address)


@payer_page
@door_view("order")
@require_safe
def pay_wechat(request: DoorRequest) -> HttpResponse:
    """Inside WeChat: learn from WeChat who pays, open the attempt, and go to the page that calls the cashier.

    Without ``code`` it sends the payer to WeChat's authorization; WeChat comes back here with ``code`` and ``state``.
    """
    now = clock.now()
    order = _order(request)
    payments = selectors.payments_of(order)
    inside = wallet_of(user_agent(request)) is Wallet.WECHATPAY
    if not inside or selectors.standing(order, payments, now=now) is not Standing.OPEN:
        return see_other(order_address(order))
    way = choose(_ways(request, order, payments), wallet=Platform.WECHATPAY.value)
    if way is None or not way.needs_payer:
        return see_other(order_address(order))
    if _invocable(request, order, payments, now=now) is not None:
        return see_other(f"{order_address(order)}#pay")
    code = request.GET.get("code", "")
    if not code and not request.GET.get("state"):
        return _authorize(request, order, way)
    expected = request.get_signed_cookie(
        "pay_state", default="", salt=f"pay_state/{order.token}", max_age=STATE_LIFE
    )
    if not expected or not secrets.compare_digest(
        expected.encode(), request.GET.get("state", "").encode()
    ):
        return _trouble(
            request,
            order,
            _(
                "This step was begun in another window or is too old. Nothing was charged. Please start again."
            ),
            status=403,
        )
    try:
        payment = begin_in_wechat(
            order=order,
            way=way,
            code=code,
            now=now,
            actor=actor_of(request),
            client_ip=client_ip(request) or "",
        )
    except (PlatformUnavailable, PlatformRejected):
        return _trouble(
            request,
            order,
            _("WeChat did not tell us who pays. Nothing was charged. Please try again."),
            status=502,
        )
    except PaymentHeld:
        return see_other(reverse("checkout:pay_check", args=[order.token]))
    except (OrderNotPayable, HandoverFailed):
        return see_other(order_address(order))
    response = see_other(f"{order_address(order)}#pay")
    response.delete_cookie("pay_state", path=order_address(order))
    _keep(request, response, order, "pay_mine", str(payment.pk))
    return response


def _authorize(request: DoorRequest, order: Order, way: Way) -> HttpResponse:
    state = new_token(32)
    back = reverse("checkout:pay_wechat", args=[order.token])
    try:
        address = authorize_address(
            order=order, way=way, redirect_uri=f"{settings.PUBLIC_URL}{back}", state=state
        )
    except (OrderNotPayable, NotSupported):
        return see_other(order_address(order))
    response = _leave(request, order, way.wallet.value, address=address)
    _keep(request, response, order, "pay_state", state)
    return response


def _keep(
    request: DoorRequest, response: HttpResponse, order: Order, name: str, value: str
) -> None:
    """A signed cookie that this order's pages alone see and that outlives the order by little."""
    response.set_signed_cookie(
        name,
        value,
        salt=f"{name}/{order.token}",
        max_age=STATE_LIFE if name == "pay_state" else 3600,
        path=order_address(order),
        secure=request.is_secure(),
        httponly=True,
        samesite="Lax",
    )


def _leave(
    request: DoorRequest,
    order: Order,
    wallet: str,
    *,
    address: str = "",
    form: dict[str, Any] | None = None,
) -> HttpResponse:
    context = {
        "order": order,
        "wallet": wallet,
        "address": address,
        "form": form,
        **_shop(request, order),
    }
    response = render(request, "checkout/leave.html", context)
    # A platform may insist on seeing which site the payer comes from; it never sees the token.
    response["Referrer-Policy"] = "strict-origin"
    return response


def _trouble(request: DoorRequest, order: Order, words: str, *, status: int) -> HttpResponse:
    context = {"order": order, "words": words, **_shop(request, order)}
    return render(request, "checkout/trouble.html", context, status=status)


def _order(request: DoorRequest) -> Order:
    """The order behind the door; the page speaks the language that its code asked for."""
    order = order_by_door(request.door)
    speak(request, order.language)
    return order


def _shop(request: DoorRequest, order: Order) -> dict[str, str]:
    return shop_facts(request, order.store, None)


def _ways(request: DoorRequest, order: Order, payments: list[Payment]) -> list[Way]:
    takers = selectors.takers_serving(store_id=order.store_id)
    return ways_here(request, takers, payments, wallets=order.wallets)


def _invocable(
    request: DoorRequest, order: Order, payments: list[Payment], *, now: datetime
) -> Payment | None:
    """The attempt under way that this very browser may pay by WeChat's script: it was signed for one payer."""
    mine = request.get_signed_cookie(
        "pay_mine", default="", salt=f"pay_mine/{order.token}", max_age=3600
    )
    payment = selectors.paying([one for one in payments if str(one.pk) == mine], now=now)
    return payment if payment is not None and payment.handover.get("invoke") else None


def _choice(
    request: DoorRequest, order: Order, payments: list[Payment], *, now: datetime
) -> dict[str, Any]:
    """What an open order's page offers: the attempt under way, if this browser can use it, and the other ways.

    ``over`` is an attempt whose code is no longer good, where that is what the payer was looking at. ``elsewhere``: the
    wallets that pay from elsewhere, for somebody inside one.
    """
    takers = selectors.takers_serving(store_id=order.store_id)
    ways = ways_here(request, takers, payments, wallets=order.wallets)
    current, over = _current(request, order, payments, ways, now=now)
    here = wallet_of(user_agent(request))
    shown = current or over
    found: dict[str, Any] = {
        "current": current,
        "current_wallet": selectors.wallet_of(current) if current else "",
        "over": over,
        "over_wallet": selectors.wallet_of(over) if over else "",
        "others": [way for way in ways if current is None or not _is_way_of(way, current)],
        "wallet": here.value,
        "elsewhere": [
            one.value
            for one in wallets_inside(takers)
            if one.value != here.value and (not order.wallets or one.value in order.wallets)
        ]
        if here
        else [],
        "phone": is_phone(user_agent(request)),
        "trouble": _last_trouble(payments) if shown is None else None,
        "unknown": current is not None and current.state == PaymentState.UNKNOWN,
    }
    if current is not None and current.expires_at < order.expires_at:
        found["code_seconds"] = seconds = int((current.expires_at - now).total_seconds())
        found["code_left"] = f"{seconds // 60}:{seconds % 60:02d}"
    if current is not None and current.handover.get("qr_content"):
        try:
            # Markup of our own making: nothing of the content stands in it but dark and light modules.
            drawn = qr_svg(current.handover["qr_content"], label=_("Code to pay with"))
            found["qr"] = SafeString(drawn)
        except InvalidContent:
            found["current"] = None
    return found


def _is_way_of(way: Way, payment: Payment) -> bool:
    return (way.wallet, way.product) == (selectors.wallet_of(payment), payment.product)


def _current(
    request: DoorRequest,
    order: Order,
    payments: list[Payment],
    ways: list[Way],
    *,
    now: datetime,
) -> tuple[Payment | None, Payment | None]:
    """The attempt under way that this browser can go on with: the one asked for, else the latest.

    In its place, as the second, the one that the payer was looking at and whose code is no longer good.
    """
    if any(way.needs_payer for way in ways):
        return _invocable(request, order, payments, now=now), None
    usable = [one for one in payments if any(_is_way_of(way, one) for way in ways)]
    asked_for = request.GET.get("with", "")
    looked_at = [one for one in usable if selectors.wallet_of(one) == asked_for] or usable
    if looked_at and selectors.ran_out(looked_at[-1], now=now):
        return None, looked_at[-1]
    current = selectors.paying(usable, asked_for, now=now) or selectors.paying(usable, now=now)
    return current, None


def _last_trouble(payments: list[Payment]) -> Payment | None:
    """The latest attempt if the platform refused it or did not answer."""
    last = payments[-1] if payments else None
    if last is None or last.state not in {PaymentState.FAILED, PaymentState.UNKNOWN}:
        return None
    return last
