"""What the merchant decides about the payer's pages."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from apps.checkout.forms import CheckoutForm
from apps.checkout.selectors import confirm_over
from apps.checkout.services import change_settings
from apps.core import clock
from apps.core.money import Money
from apps.merchants.access import MerchantRequest, merchant_view


@merchant_view("merchant.manage")
@require_http_methods(["GET", "HEAD", "POST"])
def checkout_settings(request: MerchantRequest) -> HttpResponse:
    """From which amount on a payer confirms shop and amount."""
    over = confirm_over()
    initial = {
        "confirms": "never" if over is None else "over",
        "confirm_over": "" if over is None else Money(over).to_yuan(),
    }
    form = CheckoutForm(request.POST if request.method == "POST" else None, initial=initial)
    if request.method == "POST" and form.is_valid():
        change_settings(
            confirm_over=form.cleaned_data["confirm_over"],
            actor=request.actor(),
            now=clock.now(),
        )
        messages.success(request, _("Saved."))
        return redirect("till:checkout_settings", request.merchant.slug)
    status = 422 if form.errors else 200
    return render(request, "checkout/settings.html", {"form": form}, status=status)
