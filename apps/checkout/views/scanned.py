"""The page behind a scanned code."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import urlsplit

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from apps.checkout.forms import PayForm
from apps.checkout.selectors import OpenedCode, confirm_over, open_order_by_token, opened_code
from apps.checkout.services import Limit, LimitReached, TooManyOrders, open_order_once, room_of
from apps.checkout.views.frame import (
    lead,
    order_address,
    payer_page,
    see_other,
    shop_facts,
    speak,
    subject_for,
    user_agent,
    ways_here,
)
from apps.checkout.wallets import wallet_of
from apps.checkout.ways import Way, choose, wallets_inside
from apps.core import clock
from apps.core.doors import new_token
from apps.core.money import Money
from apps.merchants.access import DoorRequest, actor_of, client_ip, door_view
from apps.payments.models import Order
from apps.payments.services import OrderNotPayable
from apps.payments.services.timing import LIFETIME
from apps.qrcodes.selectors import opening, usable
from apps.qrcodes.services import open_code

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
    what to do, with 410 (retired, expired) or 403 (paused, not yet valid, closed, a limit reached); an amount above the merchant's
    threshold is confirmed on a page of its own first; a shop without a platform that this browser
    could use gives 409 to a POST; too many orders at once give 429 and the form as it was filled in.
    """
    now = clock.now()
    scans = request.method == "GET" and not _from_our_pages(request)
    wallet = wallet_of(user_agent(request)).value if scans else None
    found = open_code(door=request.door, now=now, wallet=wallet)
    request.merchant = found.merchant
    opened = opened_code(found)
    version = opened.version
    speak(request, version.language)
    reason = usable(opened.code, now, version=version)
    if reason:
        return _unusable(request, opened, str(reason), now=now)
    ways = _ways(request, opened)
    if request.method != "POST":
        room = room_of(version, merchant=request.merchant, now=now)
        if room.is_none:
            return _unusable(request, opened, f"limit_{room.limit}", now=now)
        return _show(request, opened, ways, None)
    form = PayForm(request.POST, version=version, fixed=opened.fixed, prices=opened.prices)
    if not form.is_valid():
        return _show(request, opened, ways, form, status=422)
    way = choose(ways, wallet=form.cleaned_data["wallet"]) or next(iter(ways), None)
    if way is None:
        return _show(request, opened, ways, form, status=409)
    over = confirm_over()
    if over is not None and form.money.minor > over and not form.is_confirmed:
        return _confirm(request, opened, form, way)
    try:
        order = open_order_once(
            version=version,
            merchant=request.merchant,
            amount=form.money,
            subject=subject_for(request.merchant, version.store),
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
    except LimitReached as reached:
        if reached.room.is_none or reached.room.left is None:
            return _unusable(request, opened, f"limit_{reached.room.limit}", now=now)
        form.add_error(_asked(form), _left_sentence(reached.room.limit, reached.room.left))
        return _show(request, opened, ways, form, status=422)
    except OrderNotPayable:
        # A form that was given up over and over again: a fresh one.
        return see_other(request.path)
    response = lead(request, order, way)
    _keep(request, response, opened, order)
    return response


def _ways(request: DoorRequest, opened: OpenedCode) -> list[Way]:
    return ways_here(request, opened.takers, wallets=opened.version.wallets)


def _asked(form: PayForm) -> str:
    """The field that a sentence about the amount belongs to."""
    if form.fixed is not None:
        return "shown"
    return "choice" if form.prices else "amount"


def _left_sentence(limit: Limit | None, left: Money) -> str:
    if limit is Limit.DAY:
        return _(
            "Only %(left)s more can be paid with this code today. Please pay the rest in the shop."
        ) % {"left": left.display()}
    return _("Only %(left)s more can be paid with this code. Please pay the rest in the shop.") % {
        "left": left.display()
    }


def _unusable(
    request: DoorRequest, opened: OpenedCode, reason: str, *, now: datetime
) -> HttpResponse:
    """A calm page that says why nothing can be paid, and what to do."""
    facts = {
        "reason": reason,
        "version": opened.version,
        "opens_at": opening(opened.version, now).next_at if reason == "hours" else None,
        **shop_facts(request, opened.version.store, opened.code.scenario),
    }
    status = _REFUSALS.get(reason, 403)
    return render(request, "checkout/unusable.html", facts, status=status)


def _confirm(request: DoorRequest, opened: OpenedCode, form: PayForm, way: Way) -> HttpResponse:
    """Shop and amount in large type, to be confirmed; the confirmation is good for just this."""
    context = {
        "amount": form.money,
        "note": form.cleaned_data["note"],
        "way": way,
        "sent": {
            **{name: request.POST.get(name, "") for name in ("amount", "shown", "choice", "note")},
            "nonce": form.cleaned_data["nonce"],
            "wallet": way.wallet.value,
            "confirmed": form.confirmation(),
        },
        **shop_facts(request, opened.version.store, opened.code.scenario),
    }
    return render(request, "checkout/confirm.html", context)


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
    request: DoorRequest,
    opened: OpenedCode,
    ways: list[Way],
    form: PayForm | None,
    *,
    status: int = 200,
) -> HttpResponse:
    """The page; ``form`` None for an empty one, which is written without a form's machinery since most pages are that."""
    version = opened.version
    here = wallet_of(user_agent(request)).value
    begun = _begun(request, opened, now=clock.now()) if request.method == "GET" else None
    inside = [wallet.value for wallet in wallets_inside(opened.takers)]
    context = {
        "form": form,
        "version": version,
        "begun": begun,
        "begun_address": order_address(begun) if begun else "",
        "crowded": status == 429,
        "fixed": opened.fixed,
        "prices": opened.prices,
        "ways": [way for way in ways if not way.extra],
        "wallet": here,
        "others": [
            wallet
            for wallet in inside
            if wallet != here and (not version.wallets or wallet in version.wallets)
        ],
        "nonce": (form["nonce"].value() if form else "") or new_token(20),
        **shop_facts(request, version.store, opened.code.scenario),
    }
    return render(request, "checkout/scan.html", context, status=status)
