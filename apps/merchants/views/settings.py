"""A merchant's names and business day."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from apps.core import clock
from apps.merchants.access import MerchantRequest, merchant_view
from apps.merchants.forms import MerchantForm
from apps.merchants.services import update_merchant


@merchant_view("merchant.manage")
@require_http_methods(["GET", "HEAD", "POST"])
def merchant_settings(request: MerchantRequest) -> HttpResponse:
    """Names, business day, and where the second factor is."""
    merchant = request.merchant
    initial = {
        "name": merchant.name,
        "name_en": merchant.name_en,
        "day_starts_at": f"{merchant.day_starts_at:%H:%M}",
    }
    form = MerchantForm(request.POST or None, initial=initial)
    if request.method == "POST" and form.is_valid():
        update_merchant(**form.cleaned_data, actor=request.actor(), now=clock.now())
        messages.success(request, _("Saved."))
        return redirect("merchants:settings", merchant.slug)
    status = 422 if form.errors else 200
    return render(request, "merchants/settings.html", {"form": form}, status=status)
