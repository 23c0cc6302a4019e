"""What a payer sees whose payment the shop's risk rules hold."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_http_methods

from apps.checkout.services.risk import ORDER
from apps.checkout.views.frame import order_address, payer_page, see_other, shop_facts, speak
from apps.core import clock
from apps.merchants.access import DoorRequest, door_view
from apps.payments.models import OrderState
from apps.payments.selectors import order_by_door
from apps.qrcodes.models import CodeState
from apps.risk.models import HoldState
from apps.risk.selectors import hold_of
from apps.risk.services import confirm_by_payer


@payer_page
@door_view("order")
@require_http_methods(["GET", "HEAD", "POST"])
def pay_check(request: DoorRequest) -> HttpResponse:
    """Confirm, wait for the shop, or read that it cannot be paid like this; what goes on leads back to the order."""
    now = clock.now()
    order = order_by_door(request.door)
    speak(request, order.language)
    if request.method == "POST":
        confirm_by_payer(kind=ORDER, subject_id=order.pk, now=now)
        return see_other(order_address(order))
    hold = hold_of(kind=ORDER, subject_id=order.pk)
    refused = hold is not None and hold.state == HoldState.REFUSED
    over = order.state != OrderState.OPEN or now >= order.expires_at
    # Opened by hand, or the code takes payments again: there is nothing to wait for.
    free = (
        hold.state == HoldState.RELEASED
        if hold is not None
        else order.code is None or order.code.state != CodeState.PAUSED
    )
    if not refused and (over or free):
        return see_other(order_address(order))
    left = max(0, int((order.expires_at - now).total_seconds()))
    context = {
        "order": order,
        "stage": "refused" if refused else "frozen" if hold is None else hold.asked,
        "seconds_left": left,
        "time_left": f"{left // 60:02d}:{left % 60:02d}",
        **shop_facts(request, order.store, None),
    }
    status = 403 if refused or hold is None else 200
    return render(request, "checkout/check.html", context, status=status)
