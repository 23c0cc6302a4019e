"""The morning: yesterday in one sentence, each account's line, the rows that need somebody, and the mail about it."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from apps.core import clock
from apps.core.htmx import render_page
from apps.merchants.access import MerchantRequest, merchant_view
from apps.reconciliation import morning_wording as words
from apps.reconciliation import selectors, services
from apps.reconciliation.forms import EACH_LANGUAGE, MorningMailForm


def _chosen_day(text: str, *, now: datetime) -> date:
    """The day of the address, if it is one that is over; else yesterday."""
    last = selectors.last_day(now)
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return last
    return day if date(2000, 1, 1) <= day <= last else last


@merchant_view("reconciliation.view")
@require_safe
def morning(request: MerchantRequest) -> HttpResponse:
    """What is known of yesterday's bills, or of an earlier day's, and what to do next. Live."""
    now = clock.now()
    day = _chosen_day(request.GET.get("day", ""), now=now)
    last = selectors.last_day(now)
    found = selectors.day_morning(day=day, now=now)
    context: dict[str, Any] = {
        "now": now,
        "found": found,
        "told": words.tell(found, now=now),
        "telling": selectors.told_of(day),
        "wish": selectors.mail_wish(request.member, role=request.membership.role),
        "is_last": day == last,
        "older": day - timedelta(days=1),
        "newer": day + timedelta(days=1) if day < last else None,
    }
    return render_page(request, "reconciliation/morning.html", context, partial="morning")


@merchant_view("reconciliation.view")
@require_http_methods(["GET", "HEAD", "POST"])
def morning_mail(request: MerchantRequest) -> HttpResponse:
    """A member chooses whether to get the morning's mail, and in which language."""
    if request.method == "POST":
        form = MorningMailForm(request.POST)
        if form.is_valid():
            services.set_mail_wish(
                member=request.member,
                is_wanted=form.cleaned_data["wanted"],
                language=form.cleaned_data["language"],
                actor=request.actor(),
                now=clock.now(),
            )
            messages.success(
                request,
                _("Saved. The mail comes once each morning.")
                if form.cleaned_data["wanted"]
                else _("Saved. You get no more such mails; the page shows the same."),
            )
            return redirect("reconciliation:morning", request.merchant.slug)
    else:
        wish = selectors.mail_wish(request.member, role=request.membership.role)
        language = wish.language if wish.is_said else (get_language() or "")
        form = MorningMailForm(
            initial={"wanted": wish.is_wanted, "language": language or EACH_LANGUAGE}
        )
    return render(
        request,
        "reconciliation/morning_mail.html",
        {"form": form},
        status=422 if form.errors else 200,
    )
