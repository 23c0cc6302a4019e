"""What the payer's pages have in common."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import wraps
from typing import Concatenate, ParamSpec
from urllib.parse import urlsplit

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils import translation

from apps.checkout.selectors import refused_by
from apps.checkout.services import PaymentHeld, begin
from apps.checkout.wallets import is_phone, wallet_of
from apps.checkout.ways import Taker, Way, ways_for
from apps.core import clock
from apps.core.names import named
from apps.merchants.access import DoorRequest, actor_of, client_ip
from apps.merchants.models import Merchant, Store
from apps.payments.models import Order, OrderState, Payment
from apps.payments.services import HandoverFailed, OrderNotPayable
from apps.qrcodes.models import Scenario

P = ParamSpec("P")


View = Callable[Concatenate[HttpRequest, str, P], HttpResponseBase]


def for_strangers(unknown: str) -> Callable[[View[P]], View[P]]:
    """A page behind a token: kept by no cache and no search engine. ``unknown``: the template that says calmly that it leads nowhere."""

    def decorate(view: View[P]) -> View[P]:
        @wraps(view)
        def page(
            request: HttpRequest, token: str, *args: P.args, **kwargs: P.kwargs
        ) -> HttpResponseBase:
            try:
                response = view(request, token, *args, **kwargs)
            except Http404:
                response = render(request, unknown, status=404)
            response["Cache-Control"] = "no-store"
            response["X-Robots-Tag"] = "noindex, nofollow"
            # Tokens stand in the addresses: no other site learns them.
            response.setdefault("Referrer-Policy", "same-origin")
            return response

        return page  # type: ignore[return-value]  # Django hands the token over by name

    return decorate


def payer_page(view: View[P]) -> View[P]:
    """A payer's page, for strangers."""
    return for_strangers("checkout/unknown.html")(view)


def see_other(address: str) -> HttpResponse:
    """After a POST: look there, with GET."""
    return HttpResponse(status=303, headers={"Location": address})


def user_agent(request: HttpRequest) -> str:
    """The browser's own name for itself."""
    return request.headers.get("User-Agent", "")


def ways_here(
    request: HttpRequest,
    takers: Sequence[Taker],
    payments: Sequence[Payment] = (),
    *,
    wallets: Collection[str] = (),
) -> list[Way]:
    """The ways to pay that this browser can go, after the attempts made so far; with ``wallets`` only theirs."""
    agent = user_agent(request)
    ways = ways_for(
        wallet=wallet_of(agent),
        phone=is_phone(agent),
        takers=takers,
        refused=refused_by(payments),
    )
    return [way for way in ways if not wallets or way.wallet.value in wallets]


def speak(request: HttpRequest, language: str) -> None:
    """Show the page in the language that the code asks for, unless the payer chose one."""
    if language and settings.LANGUAGE_COOKIE_NAME not in request.COOKIES:
        translation.activate(language)
        request.LANGUAGE_CODE = translation.get_language()


def form_sources(url: str) -> list[str]:
    """Where a page may post a platform's form: to its origin, and to that domain's other hosts over https.

    The platform may answer the post by sending the browser on to its cashier (gateway.95516.com to cashier.95516.com), and
    browsers hold such a redirect to the policy of the page that posted.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    sources = [f"{parts.scheme}://{parts.netloc}"]
    is_name = host.count(".") >= 2 and not host.replace(".", "").isdigit()
    if parts.scheme == "https" and is_name:
        sources.append(f"https://*.{host.split('.', 1)[1]}")
    return sources


def shop_facts(request: DoorRequest, store: Store, scenario: Scenario | None) -> dict[str, str]:
    """Who is paid: the shop's name, and below it the store and the place."""
    shop, branch = named(request.merchant), named(store)
    # "Harbour Coffee" and "Harbour Coffee Riverside": once is enough.
    title = branch if branch.startswith(shop) else shop
    places = [] if title == branch else [branch]
    if scenario is not None:
        places.append(named(scenario))
    return {"shop": title, "place": " · ".join(places), "initial": title[:1].upper()}


def subject_for(merchant: Merchant, store: Store) -> str:
    """What the payer reads in the wallet's own bill; always in the shop's own language."""
    shop, branch = merchant.name, store.name
    return branch if branch.startswith(shop) else f"{shop} {branch}"


def order_address(order: Order) -> str:
    """The path of an order's page."""
    return reverse("checkout:pay", args=[order.token])


def lead(request: DoorRequest, order: Order, way: Way) -> HttpResponse:
    """Open an attempt on the way chosen and send the payer on.

    What goes wrong stands in the attempt's row, and the order's page tells it: reloading that page repeats nothing.
    """
    if order.state == OrderState.PAID:
        return see_other(order_address(order))
    if way.needs_payer:
        return see_other(reverse("checkout:pay_wechat", args=[order.token]))
    try:
        payment = begin(
            order=order,
            way=way,
            now=clock.now(),
            actor=actor_of(request),
            client_ip=client_ip(request) or "",
        )
    except PaymentHeld:
        return see_other(reverse("checkout:pay_check", args=[order.token]))
    except (OrderNotPayable, HandoverFailed):
        return see_other(order_address(order))
    if payment.handover.get("redirect_url") or payment.handover.get("form"):
        return see_other(reverse("checkout:pay_leave", args=[order.token, way.wallet.value]))
    return see_other(f"{order_address(order)}?with={way.wallet.value}")
