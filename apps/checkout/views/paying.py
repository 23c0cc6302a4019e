"""The pages of one order: handing over to a platform, waiting, the result."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.http import HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST, require_safe

from apps.checkout import selectors
from apps.checkout.selectors import Standing
from apps.checkout.services import authorize_address, begin_in_wechat, give_up, look, watch
from apps.checkout.views.frame import (
    lead,
    order_address,
    payer_page,
    see_other,
    shop_facts,
    user_agent,
    ways_here,
)
from apps.checkout.wallets import Wallet, is_phone, wallet_of
from apps.checkout.ways import Way, choose
from apps.core import clock
from apps.core.doors import new_token
from apps.merchants.access import DoorRequest, actor_of, client_ip, door_view
from apps.payments.models import Order, OrderState, Payment, PaymentState
from apps.payments.selectors import order_by_door
from apps.payments.services import HandoverFailed, OrderNotPayable
from apps.platforms.gateway import NotSupported, PlatformRejected, PlatformUnavailable, Product
from apps.qrcodes.artwork import InvalidContent, qr_svg

#: How fresh the platform's word must be when the page is opened, and while it is watched.
LOOK_ON_OPEN = timedelta(seconds=2)
LOOK_WHILE_WATCHED = timedelta(seconds=3)
#: Seconds for WeChat to send the payer back.
STATE_LIFE = 600
#: What platforms add to the address they send the payer back to.
_ADDED = {"out_trade_no", "trade_no", "sign"}


@payer_page
@door_view("order")
@require_safe
def pay(request: DoorRequest) -> HttpResponse:
    """The state of an order and what can be done about it; the link to keep once it is paid."""
    now = clock.now()
    order = order_by_door(request.door)
    if _ADDED & request.GET.keys():
        return see_other(order_address(order))
    payments = look(order=order, now=now, every=LOOK_ON_OPEN)
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
            paid = selectors.paid_by(payments)
            return render(request, "checkout/paid.html", {**context, "payment": paid})
        case Standing.CLOSED:
            return render(request, "checkout/closed.html", context)
        case Standing.ASKING:
            return render(request, "checkout/asking.html", context)
        case Standing.OPEN:
            seconds = int((order.expires_at - now).total_seconds())
            context["seconds_left"] = seconds
            context["time_left"] = f"{seconds // 60:02d}:{seconds % 60:02d}"
            context |= _choice(request, order, payments)
            return render(request, "checkout/pay.html", context)


@payer_page
@door_view("order")
@require_GET
def pay_status(request: DoorRequest) -> HttpResponse:
    """Where the order stands, for the page that watches it: ``state``, ``mark`` (changes with the page), ``seconds_left``."""
    now = clock.now()
    order = order_by_door(request.door)
    payments = watch(order=order, now=now, every=LOOK_WHILE_WATCHED)
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
def pay_start(request: DoorRequest, platform: str) -> HttpResponse:
    """Start an attempt on a platform, ``product`` naming the way where there are two."""
    order = order_by_door(request.door)
    ways = ways_here(request, selectors.platforms_serving(store_id=order.store_id))
    way = choose(ways, platform=platform, product=request.POST.get("product", ""))
    if way is None:
        return see_other(order_address(order))
    return lead(request, order, way)


@payer_page
@door_view("order")
@require_POST
def pay_cancel(request: DoorRequest) -> HttpResponse:
    """The payer gives the order up."""
    order = order_by_door(request.door)
    give_up(order=order, now=clock.now(), actor=actor_of(request))
    return see_other(order_address(order))


@payer_page
@door_view("order")
@require_safe
def pay_leave(request: DoorRequest, platform: str) -> HttpResponse:
    """A page that goes on to the platform's by itself.

    Not a redirect: browsers hold a form's answer, with all its redirects, to the form-action of the policy.
    """
    order = order_by_door(request.door)
    payments = selectors.payments_of(order)
    payment = selectors.paying(payments, platform)
    if selectors.standing(order, payments, now=clock.now()) is not Standing.OPEN or payment is None:
        return see_other(order_address(order))
    address = payment.handover.get("redirect_url", "")
    if not address:
        return see_other(order_address(order))
    return _leave(request, order, platform, address)


@payer_page
@door_view("order")
@require_safe
def pay_wechat(request: DoorRequest) -> HttpResponse:
    """Inside WeChat: learn from WeChat who pays, open the attempt, and go to the page that calls the cashier.

    Without ``code`` it sends the payer to WeChat's authorization; WeChat comes back here with ``code`` and ``state``.
    """
    now = clock.now()
    order = order_by_door(request.door)
    payments = selectors.payments_of(order)
    inside = wallet_of(user_agent(request)) is Wallet.WECHATPAY
    if not inside or selectors.standing(order, payments, now=now) is not Standing.OPEN:
        return see_other(order_address(order))
    if _invocable(request, order, payments) is not None:
        return see_other(f"{order_address(order)}#pay")
    code = request.GET.get("code", "")
    if not code and not request.GET.get("state"):
        return _authorize(request, order)
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
    except (OrderNotPayable, HandoverFailed):
        return see_other(order_address(order))
    response = see_other(f"{order_address(order)}#pay")
    response.delete_cookie("pay_state", path=order_address(order))
    _keep(request, response, order, "pay_mine", str(payment.pk))
    return response


def _authorize(request: DoorRequest, order: Order) -> HttpResponse:
    state = new_token(32)
    back = reverse("checkout:pay_wechat", args=[order.token])
    try:
        address = authorize_address(
            order=order, redirect_uri=f"{settings.PUBLIC_URL}{back}", state=state
        )
    except (OrderNotPayable, NotSupported):
        return see_other(order_address(order))
    response = _leave(request, order, Wallet.WECHATPAY.value, address)
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


def _leave(request: DoorRequest, order: Order, platform: str, address: str) -> HttpResponse:
    context = {
        "order": order,
        "platform": platform,
        "address": address,
        **_shop(request, order),
    }
    response = render(request, "checkout/leave.html", context)
    # A platform may insist on seeing which site the payer comes from; it never sees the token.
    response["Referrer-Policy"] = "strict-origin"
    return response


def _trouble(request: DoorRequest, order: Order, words: str, *, status: int) -> HttpResponse:
    context = {"order": order, "words": words, **_shop(request, order)}
    return render(request, "checkout/trouble.html", context, status=status)


def _shop(request: DoorRequest, order: Order) -> dict[str, str]:
    return shop_facts(request, order.store, None)


def _invocable(request: DoorRequest, order: Order, payments: list[Payment]) -> Payment | None:
    """The attempt under way that this very browser may pay by WeChat's script: it was signed for one payer."""
    mine = request.get_signed_cookie(
        "pay_mine", default="", salt=f"pay_mine/{order.token}", max_age=3600
    )
    payment = selectors.paying([one for one in payments if str(one.pk) == mine])
    return payment if payment is not None and payment.handover.get("invoke") else None


def _choice(request: DoorRequest, order: Order, payments: list[Payment]) -> dict[str, Any]:
    """What an open order's page offers: the attempt under way, if this browser can use it, and the other ways."""
    ways = ways_here(request, selectors.platforms_serving(store_id=order.store_id))
    current = _current(request, order, payments, ways)
    used = (current.platform, current.product) if current is not None else None
    found: dict[str, Any] = {
        "current": current,
        "others": [way for way in ways if (way.platform, way.product) != used],
        "wallet": wallet_of(user_agent(request)).value,
        "phone": is_phone(user_agent(request)),
        "trouble": _last_trouble(payments) if current is None else None,
        "unknown": current is not None and current.state == PaymentState.UNKNOWN,
    }
    if current is not None and current.handover.get("qr_content"):
        try:
            # Markup of our own making: nothing of the content stands in it but dark and light modules.
            drawn = qr_svg(current.handover["qr_content"], label=_("Code to pay with"))
            found["qr"] = SafeString(drawn)
        except InvalidContent:
            found["current"] = None
    return found


def _current(
    request: DoorRequest, order: Order, payments: list[Payment], ways: list[Way]
) -> Payment | None:
    """The attempt under way that this browser can go on with: the one asked for, else the latest."""
    if any(way.product is Product.IN_APP for way in ways):
        return _invocable(request, order, payments)
    usable = [one for one in payments if choose(ways, platform=one.platform, product=one.product)]
    return selectors.paying(usable, request.GET.get("with", "")) or selectors.paying(usable)


def _last_trouble(payments: list[Payment]) -> Payment | None:
    """The latest attempt if the platform refused it or did not answer."""
    last = payments[-1] if payments else None
    if last is None or last.state not in {PaymentState.FAILED, PaymentState.UNKNOWN}:
        return None
    return last
