"""The list of reason codes."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from apps.core import clock
from apps.ledger.forms import OfferForm, ReasonForm
from apps.ledger.selectors import list_reasons
from apps.ledger.services import ADJUST_PERMISSION, ReasonRefused, add_reason, offer_reason
from apps.merchants.access import MerchantRequest, merchant_view


def _refusal(reason: str) -> tuple[str | None, str]:
    return {
        "code": ("code", _("Digits, letters and hyphens only, beginning with a digit or letter.")),
        "taken": ("code", _("There is such a code already; capitals make no difference.")),
        "name": ("name", _("Say what the code means.")),
        "many": (None, _("There are as many codes as there may be. Offer one of them again.")),
    }[reason]


@merchant_view("ledger.view")
@require_http_methods(["GET", "HEAD", "POST"])
def reason_list(request: MerchantRequest) -> HttpResponse:
    """All reason codes; whoever may adjust the books adds the merchant's own."""
    posted = request.method == "POST"
    may_adjust = ADJUST_PERMISSION in request.permissions
    if posted and not may_adjust:
        raise PermissionDenied(ADJUST_PERMISSION)
    form = ReasonForm(request.POST if posted else None)
    if posted and form.is_valid():
        try:
            add_reason(
                code=form.cleaned_data["code"],
                name=form.cleaned_data["name"],
                member=request.member,
                actor=request.actor(),
                now=clock.now(),
            )
        except ReasonRefused as refused:
            form.add_error(*_refusal(refused.reason))
        else:
            messages.success(request, _("The code is offered from now on."))
            return redirect("ledger:reason_list", request.merchant.slug)
    context = {"reasons": list_reasons(), "form": form, "may_adjust": may_adjust}
    return render(request, "ledger/reason_list.html", context, status=422 if form.errors else 200)


@merchant_view("ledger.adjust")
@require_POST
def reason_offer(request: MerchantRequest) -> HttpResponse:
    """Offer a code for new adjustments, or no more."""
    form = OfferForm(request.POST)
    if not form.is_valid():
        raise Http404
    offered = form.cleaned_data["offered"]
    try:
        offer_reason(
            code=form.cleaned_data["code"],
            offered=offered,
            member=request.member,
            actor=request.actor(),
            now=clock.now(),
        )
    except ReasonRefused as refused:
        if refused.reason != "last":
            raise Http404 from refused
        messages.error(request, _("One code must stay: each adjustment needs a reason."))
    else:
        messages.success(
            request,
            _("The code is offered from now on.")
            if offered
            else _("The code is offered no more. What was booked by it keeps it."),
        )
    return redirect("ledger:reason_list", request.merchant.slug)
