"""Alerts about odd use of codes: the list, and the look that ends one."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from apps.core import clock, keyset
from apps.merchants.access import MerchantRequest, merchant_view
from apps.qrcodes.alertwords import alert_words, rules_in_words
from apps.qrcodes.forms import LookForm
from apps.qrcodes.models import CodeAlert
from apps.qrcodes.selectors import get_alert, list_alerts, open_alerts
from apps.qrcodes.services import AlreadyLooked, look_at_alert

#: Alerts that were looked at, on one page.
PAGE_SIZE = 25


@merchant_view("codes.view")
@require_safe
def alert_list(request: MerchantRequest) -> HttpResponse:
    """What waits for a look, what was looked at, and by which rules."""
    page = keyset.page(
        list_alerts().filter(looked_at__isnull=False),
        at="looked_at",
        after=request.GET.get("after", ""),
        before=request.GET.get("before", ""),
        size=PAGE_SIZE,
    )
    context = {
        "open": [alert_words(alert) for alert in open_alerts()],
        "looked": [alert_words(alert) for alert in page.rows],
        "page": page,
        "rules": rules_in_words(),
    }
    return render(request, "qrcodes/alert_list.html", context)


@merchant_view("codes.manage")
@require_http_methods(["GET", "HEAD", "POST"])
def alert_look(request: MerchantRequest, code_alert_id: int) -> HttpResponse:
    """One alert; a POST says that a member has looked at it."""
    try:
        alert = get_alert(code_alert_id)
    except CodeAlert.DoesNotExist as error:
        raise Http404 from error
    form = LookForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            look_at_alert(
                alert_id=alert.pk,
                note=form.cleaned_data["note"],
                member_id=request.member.pk,
                actor=request.actor(),
                now=clock.now(),
            )
        except AlreadyLooked:
            messages.info(request, _("Somebody has looked at this alert meanwhile."))
        else:
            messages.success(request, _("Noted. The alert is closed."))
        return redirect("qrcodes:alert_list", request.merchant.slug)
    context = {"words": alert_words(alert), "form": form}
    status = 422 if form.errors else 200
    return render(request, "qrcodes/alert_look.html", context, status=status)
