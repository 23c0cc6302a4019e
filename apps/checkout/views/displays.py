"""Displays on the wall: the members' list of links, and the page that a screen in the store shows."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from apps.checkout.forms.desk import DisplayForm
from apps.checkout.models import WallDisplay
from apps.checkout.selectors import wallet_of
from apps.checkout.selectors.displays import (
    codes_to_show,
    display_by_door,
    get_display,
    list_displays,
    masked,
    on_wall,
)
from apps.checkout.services import put_up_display, take_down_display
from apps.checkout.views.frame import for_strangers, order_address, see_other, shop_facts
from apps.core import clock
from apps.core.htmx import render_page
from apps.merchants.access import DoorRequest, MerchantRequest, door_view, merchant_view
from apps.merchants.selectors import list_stores, list_terminals
from apps.qrcodes.artwork import qr_svg
from apps.qrcodes.selectors import link_of, usable


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@merchant_view("codes.manage")
def display_list(request: MerchantRequest) -> HttpResponse:
    """The displays that are up, each with its link, and the form for another one."""
    stores = list(list_stores(only_active=True))
    data = request.POST if request.method == "POST" else None
    form = DisplayForm(
        data,
        stores=stores,
        codes=codes_to_show(),
        terminals=list(list_terminals(only_active=True)),
    )
    if request.method == "POST" and form.is_valid():
        store_id, code_id, terminal_id = form.chosen()
        put_up_display(
            store_id=store_id,
            code_id=code_id,
            terminal_id=terminal_id,
            name=form.cleaned_data["name"],
            member=request.member,
            now=clock.now(),
            actor=request.actor(),
        )
        return see_other(reverse("till:display_list", args=[request.merchant.slug]))
    context = {
        "form": form,
        "stores": stores,
        "walls": [{"wall": wall, "link": wall_link(wall)} for wall in list_displays()],
    }
    status = 422 if form.errors else 200
    return render_page(request, "checkout/display_list.html", context, status=status)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@merchant_view("codes.manage")
def display_off(request: MerchantRequest, wall_id: int) -> HttpResponse:
    """End a display's link for good, after asking."""
    found = get_display(wall_id)
    if found is None:
        raise Http404
    if request.method != "POST":
        return render_page(request, "checkout/display_off.html", {"wall": found})
    take_down_display(wall_id=found.pk, now=clock.now(), actor=request.actor())
    messages.success(request, _("The display is switched off. Its screen says so."))
    return see_other(reverse("till:display_list", args=[request.merchant.slug]))


def wall_link(wall: WallDisplay) -> str:
    """The address that the screen in the store opens."""
    return f"{settings.PUBLIC_URL}{reverse('checkout:wall', args=[wall.token])}"


@for_strangers("checkout/wall_over.html")
@door_view("wall")
@require_safe
def wall(request: DoorRequest) -> HttpResponse:
    """What the screen in the store shows; 204 where it shows that already."""
    now = clock.now()
    found = display_by_door(request.door)
    shown = on_wall(found, now=now)
    # A code that was moved takes money for another store: this wall must not show it.
    here = found.code is not None and found.code.store_id == found.store_id
    usable_code = here and found.code is not None and usable(found.code, now) is None
    mark = shown.mark(usable=usable_code)
    if request.GET.get("mark") == mark:
        # The page asks every two seconds; mostly nothing has changed.
        return HttpResponse(status=204)
    context: dict[str, Any] = {
        "order": shown.order,
        "mark": mark,
        "latest": [
            {
                "name": shown.name_of(one),
                "payment": one,
                "amount": masked(one.amount_minor),
                "wallet": wallet_of(one),
            }
            for one in shown.payments
        ],
        **shop_facts(request, found.store, found.code.scenario if found.code else None),
    }
    link = ""
    if found.code is not None and usable_code:
        link = link_of(found.code)
    elif shown.order is not None:
        link = f"{settings.PUBLIC_URL}{order_address(shown.order)}"
    if link:
        # Markup of our own making: nothing of the link stands in it but dark and light modules.
        context["qr"] = SafeString(qr_svg(link, label=_("Code to pay with")))
    return render_page(request, "checkout/wall.html", context, partial="wall")
