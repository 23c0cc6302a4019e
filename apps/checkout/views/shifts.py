"""Shifts: opening and closing one's own, looking at past ones, printing."""

from __future__ import annotations

from django.http import Http404, HttpResponse
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.checkout.forms.desk import ShiftForm
from apps.checkout.selectors.desk import still_asked_for
from apps.checkout.selectors.shifts import (
    add_up,
    get_shift,
    list_shifts,
    open_in,
    open_shift_of,
    still_open,
    written_sums,
)
from apps.checkout.services import close_shift, open_shift
from apps.checkout.views.frame import see_other
from apps.checkout.views.place import remembered, whose
from apps.core import clock
from apps.core.htmx import render_page
from apps.merchants.access import MerchantRequest, merchant_view
from apps.merchants.selectors import list_stores


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@merchant_view("payments.take")
def shift(request: MerchantRequest) -> HttpResponse:
    """One's own open shift with what it adds up to so far, or the form that opens one; a POST opens it."""
    stores = list(list_stores(only_active=True))
    here = reverse("till:shift", args=[request.merchant.slug])
    now = clock.now()
    if request.method == "POST":
        form = ShiftForm(request.POST, stores=stores)
        if form.is_valid():
            open_shift(
                store_id=form.cleaned_data["store"],
                member=request.member,
                note=form.cleaned_data["note"],
                now=now,
                actor=request.actor(),
            )
            return see_other(here)
        return render_page(
            request, "checkout/shift.html", {"form": form, "stores": stores}, status=422
        )
    current = open_shift_of(request.member)
    if current is None:
        initial = remembered(request, stores=stores, terminals=[])
        context = {"form": ShiftForm(stores=stores, initial=initial), "stores": stores}
    else:
        context = {
            "shift": current,
            "sums": add_up(current, until=now),
            "still_open": still_open(current),
            "asked_for": still_asked_for(request.member, now=clock.now()),
            "form": ShiftForm(stores=None),
        }
    mine = list_shifts(member=request.member, size=5)
    context["past"] = [
        {"shift": row, "sums": written_sums(row.totals.all())}
        for row in mine.rows
        if row.closed_at is not None
    ]
    return render_page(request, "checkout/shift.html", context)


@require_POST
@merchant_view("payments.take")
def shift_close(request: MerchantRequest, shift_id: int) -> HttpResponse:
    """Close a shift of one's own, or, with the permission to see everybody's, one that somebody forgot to close.

    Where a customer may still be paying it asks first and names what is open; what came meanwhile is asked about again.
    """
    found = get_shift(shift_id, member=whose(request))
    if found is None:
        raise Http404
    form = ShiftForm(request.POST, stores=None)
    note = form.cleaned_data["note"] if form.is_valid() else ""
    now = clock.now()
    waiting = open_in(found, now=now) if found.closed_at is None else []
    if any(order.pk not in form.seen() for order in waiting):
        context = {
            "shift": found,
            "waiting": waiting,
            "fields": {"note": note, "seen": "-".join(str(order.pk) for order in waiting)},
            "mine": found.member_id == request.member.pk,
        }
        return render_page(request, "checkout/shift_close.html", context)
    close_shift(shift_id=found.pk, note=note, now=now, actor=request.actor())
    return see_other(reverse("till:shift_detail", args=[request.merchant.slug, found.pk]))


@never_cache
@require_safe
@merchant_view("transactions.view")
def shift_list(request: MerchantRequest) -> HttpResponse:
    """Past and open shifts: everybody's for those who may see them, else one's own."""
    page = list_shifts(
        member=whose(request),
        after=request.GET.get("after", ""),
        before=request.GET.get("before", ""),
    )
    here = request.path
    context = {
        "rows": [{"shift": row, "sums": written_sums(row.totals.all())} for row in page.rows],
        "everybody": whose(request) is None,
        "newer": f"{here}?before={page.newer}" if page.newer else "",
        "older": f"{here}?after={page.older}" if page.older else "",
    }
    return render_page(request, "checkout/shift_list.html", context, partial="rows")


@never_cache
@require_safe
@merchant_view("transactions.view")
def shift_detail(request: MerchantRequest, shift_id: int) -> HttpResponse:
    """A shift to look at and to print; another member's is 404 unless everybody's may be seen."""
    found = get_shift(shift_id, member=whose(request))
    if found is None:
        raise Http404
    now = clock.now()
    known = add_up(found, until=found.closed_at or now)
    closed = found.closed_at is not None
    sums = written_sums(found.totals.all()) if closed else known
    context = {
        "shift": found,
        "sums": sums,
        "closed": closed,
        # A payment or refund of the shift's time that the portal heard of after the close.
        "late_minor": known.net_minor - sums.net_minor,
        "late": known != sums,
        "form": ShiftForm(stores=None),
        "may_close": not closed and "payments.take" in request.permissions,
    }
    return render_page(request, "checkout/shift_detail.html", context)
