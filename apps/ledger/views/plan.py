"""The plan of accounts and the limit of adjustments."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from apps.core import clock
from apps.core.money import Money
from apps.ledger.forms import LimitForm, PlanForm
from apps.ledger.models import AdjustmentRule
from apps.ledger.selectors import current_limit, limit_history, list_plan
from apps.ledger.services import ADJUST_PERMISSION, CodeTaken, name_accounts, set_limit
from apps.ledger.subjects import owner_names
from apps.merchants.access import MerchantRequest, merchant_view


def _render(
    request: MerchantRequest,
    form: PlanForm,
    limit: LimitForm,
    rule: AdjustmentRule,
    *,
    note: str = "",
) -> HttpResponse:
    owners = owner_names(row.purpose for row in form.rows)
    context = {
        "form": form,
        "lines": [
            (row, owners.get((row.purpose, row.subject_id), ""), code, name)
            for row, code, name in form.lines
        ],
        "limit_form": limit,
        "rule": rule,
        "history": limit_history(),
        "note": note,
        "offers_default": "default" in request.GET,
        "may_adjust": ADJUST_PERMISSION in request.permissions,
        "may_limit": "rules.manage" in request.permissions,
    }
    status = 422 if form.errors or limit.errors else 409 if note else 200
    return render(request, "ledger/plan.html", context, status=status)


def _limit_form(rule: AdjustmentRule) -> LimitForm:
    return LimitForm(initial={"version": rule.version, "limit": Money(rule.limit_minor).to_yuan()})


@merchant_view("ledger.view")
@require_http_methods(["GET", "HEAD", "POST"])
def plan(request: MerchantRequest) -> HttpResponse:
    """The accounts with their codes and names, to be changed by whoever may adjust the books."""
    posted = request.method == "POST"
    if posted and ADJUST_PERMISSION not in request.permissions:
        raise PermissionDenied(ADJUST_PERMISSION)
    form = PlanForm(
        request.POST if posted else None, rows=list_plan(), default="default" in request.GET
    )
    rule = current_limit()
    if posted and form.is_valid():
        try:
            changed = name_accounts(form.words(), actor=request.actor(), now=clock.now())
        except CodeTaken:
            # Somebody saved at the same time.
            form.add_error(None, _("Somebody has given one of these codes to another account."))
        else:
            if changed:
                messages.success(request, _("The plan of accounts is changed."))
            else:
                messages.info(request, _("Nothing was changed."))
            return redirect("ledger:plan", request.merchant.slug)
    return _render(request, form, _limit_form(rule), rule)


@merchant_view("rules.manage")
@require_POST
def limit_edit(request: MerchantRequest) -> HttpResponse:
    """Save the limit above which another member confirms an adjustment."""
    rule = current_limit()
    limit = LimitForm(request.POST)
    if limit.is_valid():
        amount: Money = limit.cleaned_data["limit"]
        if amount.minor == rule.limit_minor and rule.version:
            messages.success(request, _("This limit is in force."))
            return redirect("ledger:plan", request.merchant.slug)
        if limit.cleaned_data["version"] == rule.version:
            set_limit(limit=amount, member=request.member, actor=request.actor(), now=clock.now())
            messages.success(
                request, _("The new limit is in force. Adjustments already asked for keep theirs.")
            )
            return redirect("ledger:plan", request.merchant.slug)
        note = _("Somebody has changed the limit meanwhile. Look at it, then save again.")
        typed = {"version": rule.version, "limit": request.POST["limit"]}
        return _render(request, PlanForm(None, rows=list_plan()), LimitForm(typed), rule, note=note)
    return _render(request, PlanForm(None, rows=list_plan()), limit, rule)
