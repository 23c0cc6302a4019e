"""How accounts are paid out, and the days on which banks work."""

from __future__ import annotations

from datetime import date
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from apps.core import clock
from apps.merchants.access import MerchantRequest, merchant_view
from apps.platforms.agreement_wording import cycle_words
from apps.platforms.models import PlatformAccount
from apps.platforms.selectors import get_account
from apps.statements.forms import TermsForm, WorkdayForm
from apps.statements.models import SettlementTerms
from apps.statements.selectors.settlements import accounts_with_terms
from apps.statements.selectors.terms import (
    contradicting,
    cycle_on,
    is_agreed,
    list_workdays,
    terms_of,
)
from apps.statements.services import set_terms, set_workday
from apps.statements.working_days import LAST_PUBLISHED_YEAR


def cycle_facts(terms: SettlementTerms, today: date) -> dict[str, Any]:
    """What a page says of the cycle: ``cycle`` as it is today, whether it ``is_agreed``, and where the two contradict each other."""
    against = contradicting(terms, today)
    return {
        "cycle": cycle_on(terms, today),
        "is_agreed": is_agreed(terms, today),
        "against": cycle_words(days=against.cycle_days, working=against.working_days)
        if against
        else "",
    }


@merchant_view("reconciliation.view")
@require_safe
def terms_list(request: MerchantRequest) -> HttpResponse:
    """Every account's terms: its own, or the platform's usual ones."""
    today = clock.business_date(clock.now())
    entries = [
        {"account": account, "terms": terms, **cycle_facts(terms, today)}
        for account, terms in accounts_with_terms()
    ]
    return render(request, "statements/terms_list.html", {"entries": entries})


@merchant_view("reconciliation.manage")
@require_http_methods(["GET", "HEAD", "POST"])
def terms_edit(request: MerchantRequest, account_id: int) -> HttpResponse:
    """Change one account's terms; what was not paid out yet is computed again."""
    try:
        account = get_account(account_id)
    except PlatformAccount.DoesNotExist as error:
        raise Http404 from error
    terms = terms_of([account])[account.pk]
    facts = cycle_facts(terms, clock.business_date(clock.now()))
    form = TermsForm(
        request.POST if request.method == "POST" else None, terms=terms, cycle=facts["cycle"]
    )
    if request.method == "POST" and form.is_valid():
        set_terms(
            account_id=account.pk,
            member=request.member,
            actor=request.actor(),
            now=clock.now(),
            **form.values(),
        )
        messages.success(request, _("Saved. What was not paid out yet is computed by these terms."))
        return redirect("settlements:terms_list", request.merchant.slug)
    context = {"account": account, "terms": terms, "form": form, **facts}
    return render(
        request, "statements/terms_edit.html", context, status=422 if form.errors else 200
    )


@merchant_view("reconciliation.manage")
@require_http_methods(["GET", "HEAD", "POST"])
def workday_list(request: MerchantRequest) -> HttpResponse:
    """Days on which banks work or rest beside the published ones; a day's row can be taken out."""
    taking_out = "take_out" in request.POST
    form = WorkdayForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        set_workday(
            day=form.cleaned_data["day"],
            is_working=None if taking_out else form.cleaned_data["works"],
            name=form.cleaned_data["name"],
            actor=request.actor(),
            now=clock.now(),
        )
        messages.success(request, _("Saved. What is due follows."))
        return redirect("settlements:workday_list", request.merchant.slug)
    context = {"form": form, "days": list_workdays(), "last_year": LAST_PUBLISHED_YEAR}
    return render(
        request, "statements/workday_list.html", context, status=422 if form.errors else 200
    )
