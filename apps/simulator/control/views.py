"""The control page: the same desk, for people."""

from __future__ import annotations

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from apps.simulator import books, clock, delivery, faults, merchants, notifications
from apps.simulator.control.guard import loopback_only
from apps.simulator.models import Fault, Notice, Order, Platform, Refund

_SHOWN = 50


def _number(request: HttpRequest, name: str) -> float | None:
    try:
        return float(request.POST[name])
    except (KeyError, ValueError):
        return None


def _back() -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("control"))


@loopback_only
@require_GET
def desk(request: HttpRequest) -> HttpResponse:
    """Merchants with their credentials, the newest of the books and notices, faults, clock."""
    delivery.tick(now=clock.now())
    cards = [
        {
            "merchant": merchant,
            "credentials": merchants.credentials_of(merchant),
            "totals": books.totals_of(merchant),
        }
        for merchant in merchants.list_merchants()
    ]
    orders = Order.objects.select_related("merchant").order_by("-pk").prefetch_related("refunds")
    page = Paginator(orders, _SHOWN).get_page(request.GET.get("page"))
    return render(
        request,
        "simulator/control.html",
        {
            "cards": cards,
            "orders": page,
            "refunds": Refund.objects.select_related("order__merchant").order_by("-pk")[:_SHOWN],
            "notices": Notice.objects.select_related("order", "refund").order_by("-pk")[:_SHOWN],
            "faults": Fault.objects.order_by("pk"),
            "fault_keys": [(key, meaning) for key, (meaning, _) in faults.KEYS.items()],
            "platforms": Platform.choices,
            "clock": clock.read(),
        },
    )


@loopback_only
@require_POST
def merchant_add(request: HttpRequest) -> HttpResponse:
    """Open an account."""
    platform = request.POST.get("platform", "")
    if platform in Platform.values:
        merchants.create_merchant(
            platform=platform,
            name=request.POST.get("name", "").strip() or "模拟商户",
            now=clock.now(),
        )
    return _back()


@loopback_only
@require_POST
def fault_add(request: HttpRequest) -> HttpResponse:
    """Put a fault in force; seconds and uses are optional."""
    seconds = _number(request, "seconds")
    uses = _number(request, "uses")
    if request.POST.get("key") in faults.KEYS:
        faults.add_fault(
            key=request.POST["key"],
            platform=request.POST.get("platform", ""),
            value=None if seconds is None else {"seconds": seconds},
            uses=int(uses) if uses and uses >= 1 else None,
        )
    return _back()


@loopback_only
@require_POST
def fault_remove(request: HttpRequest) -> HttpResponse:
    """Lift one fault, or all."""
    fault_id = _number(request, "id")
    faults.remove_faults(fault_id=None if fault_id is None else int(fault_id))
    return _back()


@loopback_only
@require_POST
def clock_set(request: HttpRequest) -> HttpResponse:
    """Move the clock."""
    factor = _number(request, "factor")
    clock.set_clock(
        offset_seconds=_number(request, "offset_seconds"),
        advance_seconds=_number(request, "advance_seconds"),
        factor=None if factor is None or factor < 0 else factor,
    )
    return _back()


@loopback_only
@require_POST
def notice_flush(request: HttpRequest) -> HttpResponse:
    """Send what is due now."""
    now = clock.now()
    delivery.tick(now=now)
    notifications.deliver_due(now=now)
    return _back()


@loopback_only
@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """The bare address leads to the desk."""
    return _back()
