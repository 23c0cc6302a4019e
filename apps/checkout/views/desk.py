"""The desk: an amount, a code on the screen for any wallet, "received" seen and heard; and today's receipts."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.checkout.forms.desk import DeskForm
from apps.checkout.selectors import payments_of, takes_barcodes, unsettled, wallet_of
from apps.checkout.selectors.desk import (
    Asking,
    DeskOrder,
    called,
    get_desk_order,
    list_given_back,
    list_receipts,
    still_asked_for,
    sum_receipts,
    unusually_large,
)
from apps.checkout.selectors.shifts import open_shift_of
from apps.checkout.services import ask_at_desk, give_up, watch
from apps.checkout.views.frame import order_address, see_other, subject_for
from apps.checkout.views.place import remember, remembered, whose
from apps.core import clock
from apps.core.doors import new_token
from apps.core.htmx import render_page, wants_fragment
from apps.core.money import Money
from apps.core.names import speaks_english
from apps.core.templatetags.portal import platform_label
from apps.merchants.access import MerchantRequest, merchant_view
from apps.merchants.selectors import list_stores, list_terminals
from apps.payments.models import Payment
from apps.payments.services import AmountOutOfRange
from apps.platforms.barcodes import shapes
from apps.qrcodes.artwork import qr_svg

#: Where nothing more is to come.
_OVER = frozenset({Asking.PAID, Asking.CLOSED})


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@merchant_view("payments.take")
def desk(request: MerchantRequest) -> HttpResponse:
    """The keys for an amount; a POST opens an order and leads to its code (303). With mistakes it comes back with 422, and an
    unusually large amount is asked about first.
    """
    stores = list(list_stores(only_active=True))
    terminals = list(list_terminals(only_active=True))
    now = clock.now()
    if request.method == "POST":
        form = DeskForm(request.POST, stores=stores, terminals=terminals)
        if form.is_valid():
            wanted = form.cleaned_data
            store = next(store for store in stores if store.pk == wanted["store"])
            amount = wanted["amount"]
            if not form.is_meant and unusually_large(amount, store_id=store.pk, now=now):
                # Nothing is opened yet: whoever typed a zero too many goes back.
                context = {"wanted": wanted, "store": store, **_frame(request, now=now)}
                return render_page(request, "checkout/desk_large.html", context, partial="large")
            try:
                order = ask_at_desk(
                    store_id=store.pk,
                    terminal_id=wanted["terminal"],
                    amount=amount,
                    subject=subject_for(request.merchant, store),
                    nonce=wanted["nonce"],
                    member=request.member,
                    now=now,
                    actor=request.actor(),
                )
            except AmountOutOfRange:
                form.add_error("amount", _("No payment may have this amount."))
            else:
                remember(request, store_id=store.pk, terminal_id=wanted["terminal"])
                return see_other(reverse("till:desk_order", args=[request.merchant.slug, order.pk]))
    else:
        # Back from the question whether an amount is right.
        initial = remembered(request, stores=stores, terminals=terminals) | {
            "amount": request.GET.get("amount", "")[:40]
        }
        form = DeskForm(stores=stores, terminals=terminals, initial=initial)
    context = {
        "form": form,
        "stores": stores,
        "takes": takes_barcodes(),
        "nonce": new_token(20),
        "unsettled": unsettled(request.member, now=now),
        "asked_for": still_asked_for(request.member, now=now),
        "shift": open_shift_of(request.member),
        **_frame(request, now=now),
    }
    status = 422 if form.errors else 200
    return render_page(request, "checkout/desk.html", context, partial="pad", status=status)


@never_cache
@require_safe
@merchant_view("payments.take")
def desk_order(request: MerchantRequest, order_id: int) -> HttpResponse:
    """The code of an order, large, live until it is paid or over. One whose customer's code was scanned is at the till."""
    order = get_desk_order(order_id, taken_by=whose(request))
    if order is None:
        raise Http404
    now = clock.now()
    # A worker is told to ask the platform when its word is old; nothing waits for a platform here.
    found = DeskOrder(order, watch(order=order, now=now))
    if found.by_barcode:
        return redirect("till:till_order", request.merchant.slug, order_id)
    asking = found.asking(now=now)
    left = max(0, int((order.expires_at - now).total_seconds()))
    link = f"{settings.PUBLIC_URL}{order_address(order)}"
    context = {
        "order": order,
        "payment": found.paid,
        "stage": asking.value,
        "over": asking in _OVER,
        "wallet": found.wallet(),
        "seconds_left": left,
        "clock_left": f"{left // 60}:{left % 60:02d}",
        "link": link,
        **_frame(request, now=now),
    }
    if asking in {Asking.WAITING, Asking.PAYING}:
        # Markup of our own making: nothing of the link stands in it but dark and light modules.
        context["qr"] = SafeString(qr_svg(link, label=_("Code to pay with")))
    return render_page(request, "checkout/desk_order.html", context, partial="order")


@require_POST
@merchant_view("payments.take")
def desk_cancel(request: MerchantRequest, order_id: int) -> HttpResponse:
    """Ask for this amount no more. What a customer pays in the last moment still counts, so its page says how it ends."""
    order = get_desk_order(order_id, taken_by=whose(request))
    if order is None:
        raise Http404
    now = clock.now()
    give_up(order=order, now=now, actor=request.actor())
    order.refresh_from_db()
    over = DeskOrder(order, payments_of(order)).asking(now=now) is Asking.CLOSED
    slug = request.merchant.slug
    return see_other(
        reverse("till:desk", args=[slug])
        if over
        else reverse("till:desk_order", args=[slug, order_id])
    )


@never_cache
@require_safe
@merchant_view("payments.take")
def desk_heard(request: MerchantRequest) -> HttpResponse:
    """What a desk has to call out, as a fragment of the desk's pages."""
    context = {"calls": _calls(request, now=clock.now())}
    return render_page(request, "checkout/partials/desk_heard.html", context)


@never_cache
@require_safe
@merchant_view("payments.take")
def desk_today(request: MerchantRequest) -> HttpResponse:
    """Today's receipts, the member's own or, with ``who=all`` and the permission for it, everybody's."""
    now = clock.now()
    day = clock.business_date(now, request.merchant.day_starts_at)
    may_all = whose(request) is None
    everybody = may_all and request.GET.get("who") == "all"
    taken_by = None if everybody else request.member
    page = list_receipts(
        day,
        taken_by=taken_by,
        after=request.GET.get("after", ""),
        before=request.GET.get("before", ""),
    )
    sums = sum_receipts(day, taken_by=taken_by)
    first_page = not (request.GET.get("after") or request.GET.get("before"))
    here = request.path
    who = "who=all&" if everybody else ""
    context = {
        "day": day,
        "rows": [
            {"payment": row, "order": row.order, "wallet": wallet_of(row)} for row in page.rows
        ],
        "sums": sums,
        # On the first page only: the pages are the payments'.
        "given_back": list_given_back(day, taken_by=taken_by)
        if sums.refund_count and first_page
        else [],
        "everybody": everybody,
        "may_all": may_all,
        "newer": f"{here}?{who}before={page.newer}" if page.newer else "",
        "older": f"{here}?{who}after={page.older}" if page.older else "",
        "first_page": first_page,
        "here": f"{here}?who=all" if everybody else here,
    }
    return render_page(request, "checkout/desk_today.html", context, partial="receipts")


def desk_voice(request: MerchantRequest, *, now: datetime) -> dict[str, Any]:
    """What a page needs that calls out what comes in."""
    return {
        "calls": _calls(request, now=now),
        "voice": "en-US" if speaks_english() else "zh-CN",
        # What was called out already is remembered by the browser, for each member of its own.
        "memory": f"{request.merchant.slug}/{request.member.pk}",
    }


def _frame(request: MerchantRequest, *, now: datetime) -> dict[str, Any]:
    """What stands around the part that changes; nothing where only that part is asked for."""
    if wants_fragment(request):
        return {}
    wallets = {
        wallet: {"pattern": pattern, "name": platform_label(wallet)}
        for wallet, pattern in shapes().items()
    }
    return {"wallets": wallets, **desk_voice(request, now=now)}


def _calls(request: MerchantRequest, *, now: datetime) -> list[dict[str, Any]]:
    return [
        {"payment": payment, "wallet": wallet_of(payment), "sentence": sentence(payment)}
        for payment in called(request.member, now=now)
    ]


def sentence(payment: Payment) -> str:
    """What is called out when a payment comes in, in the page's language."""
    return _("%(wallet)s: %(amount)s yuan received") % {
        "wallet": platform_label(wallet_of(payment)),
        "amount": Money(payment.amount_minor, payment.currency).to_yuan(),
    }
