"""Rules that settle differences by themselves: trying one on past days before it acts."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.core import clock
from apps.core.money import Money
from apps.merchants.access import MerchantRequest, merchant_view
from apps.platforms.selectors import list_accounts
from apps.reconciliation import acts, selectors, services
from apps.reconciliation.forms import AutoRuleForm, LimitForm
from apps.reconciliation.models import AutoRule
from apps.reconciliation.views.entries import entry_of

#: How many past days a rule is tried on.
TRIED_DAYS = 30


@merchant_view("reconciliation.view")
@require_safe
def auto_rule_list(request: MerchantRequest) -> HttpResponse:
    """All rules in the order in which they are tried, and the limit for writing off."""
    return render(request, "reconciliation/auto_rule_list.html", _list_context())


def _list_context(form: LimitForm | None = None) -> dict[str, Any]:
    limit = selectors.write_off_limit()
    return {
        "entries": [
            {"rule": rule, "words": acts.rule_words(rule)} for rule in selectors.list_rules()
        ],
        "limit": limit,
        "limit_form": form or LimitForm(initial={"limit": Money(limit.limit_minor).to_yuan()}),
    }


@merchant_view("rules.manage")
@require_POST
def write_off_limit(request: MerchantRequest) -> HttpResponse:
    """Set up to which amount a difference may be written off."""
    form = LimitForm(request.POST)
    if not form.is_valid():
        context = _list_context(form)
        return render(request, "reconciliation/auto_rule_list.html", context, status=422)
    services.set_write_off_limit(
        limit=Money(form.cleaned_data["limit"]),
        member=request.member,
        actor=request.actor(),
        now=clock.now(),
    )
    messages.success(request, _("Saved. It holds from now on."))
    return redirect("reconciliation:auto_rule_list", request.merchant.slug)


def _rule_or_404(rule_id: int) -> AutoRule:
    try:
        return selectors.get_rule(rule_id)
    except AutoRule.DoesNotExist as error:
        raise Http404 from error


def _yuan(minor: int | None) -> str | None:
    return None if minor is None else Money(minor).to_yuan()


def _form(rule: AutoRule | None, data: Any, today: date) -> AutoRuleForm:
    accounts = list(list_accounts().defer("credentials_sealed"))
    if rule is None:
        return AutoRuleForm(data, accounts=accounts, initial={"effective_from": today})
    where = f"a-{rule.account_id}" if rule.account_id else ""
    initial = {
        "type": rule.type,
        "where": where or (f"p-{rule.platform}" if rule.platform else ""),
        "min_amount_minor": _yuan(rule.min_amount_minor),
        "max_amount_minor": _yuan(rule.max_amount_minor),
        "max_gap_minor": _yuan(rule.max_gap_minor),
        "min_age_days": rule.min_age_days,
        "action": rule.action,
        "reason": rule.reason,
        "effective_from": rule.effective_from,
    }
    return AutoRuleForm(data, accounts=accounts, initial=initial)


def _save(request: MerchantRequest, rule_id: int | None, form: AutoRuleForm) -> AutoRule:
    return services.save_rule(
        rule_id=rule_id,
        member=request.member,
        actor=request.actor(),
        now=clock.now(),
        **form.cleaned_data,
    )


@merchant_view("rules.manage")
@require_http_methods(["GET", "HEAD", "POST"])
def auto_rule_create(request: MerchantRequest) -> HttpResponse:
    """A new rule; it is saved switched off, and tried on past days first."""
    today = clock.business_date(clock.now())
    form = _form(None, request.POST if request.method == "POST" else None, today)
    if request.method == "POST" and form.is_valid():
        rule = _save(request, None, form)
        messages.success(request, _("Saved and switched off. See below what it would have done."))
        return redirect("reconciliation:auto_rule_detail", request.merchant.slug, rule.pk)
    status = 422 if request.method == "POST" else 200
    context = {"form": form, "rule": None}
    return render(request, "reconciliation/auto_rule_detail.html", context, status=status)


@merchant_view("reconciliation.view")
@require_safe
def auto_rule_detail(request: MerchantRequest, auto_rule_id: int) -> HttpResponse:
    """One rule, and what it would have settled of past days."""
    rule = _rule_or_404(auto_rule_id)
    today = clock.business_date(clock.now())
    context = _detail(rule, _form(rule, None, today), today)
    return render(request, "reconciliation/auto_rule_detail.html", context)


def _detail(rule: AutoRule, form: AutoRuleForm, today: date) -> dict[str, Any]:
    now = clock.now()
    tried = selectors.rehearse(
        rule, since=today - timedelta(days=TRIED_DAYS), until=today + timedelta(days=1), now=now
    )
    return {
        "rule": rule,
        "words": acts.rule_words(rule),
        "form": form,
        "tried": tried,
        "days": TRIED_DAYS,
        "entries": [entry_of(row, now) for row in tried.rows],
    }


@merchant_view("rules.manage")
@require_POST
def auto_rule_change(request: MerchantRequest, auto_rule_id: int) -> HttpResponse:
    """Change a rule, which switches it off until it was looked at again."""
    rule = _rule_or_404(auto_rule_id)
    today = clock.business_date(clock.now())
    form = _form(rule, request.POST, today)
    if not form.is_valid():
        context = _detail(rule, form, today)
        return render(request, "reconciliation/auto_rule_detail.html", context, status=422)
    _save(request, rule.pk, form)
    messages.success(request, _("Saved and switched off. See below what it would have done."))
    return redirect("reconciliation:auto_rule_detail", request.merchant.slug, rule.pk)


@merchant_view("rules.manage")
@require_POST
def auto_rule_switch(request: MerchantRequest, auto_rule_id: int) -> HttpResponse:
    """Let a rule act from the next matching on, or no more."""
    rule = _rule_or_404(auto_rule_id)
    is_on = request.POST.get("is_on") == "1"
    services.switch_rule(rule_id=rule.pk, is_on=is_on, actor=request.actor(), now=clock.now())
    messages.success(
        request,
        _("Switched on. It acts whenever a day is matched.")
        if is_on
        else _("Switched off. What it settled stays settled."),
    )
    return redirect("reconciliation:auto_rule_detail", request.merchant.slug, rule.pk)


@merchant_view("rules.manage")
@require_POST
def auto_rule_move(request: MerchantRequest, auto_rule_id: int) -> HttpResponse:
    """Let a rule be tried earlier or later than its neighbour."""
    rule = _rule_or_404(auto_rule_id)
    services.move_rule(
        rule_id=rule.pk,
        earlier=request.POST.get("to") == "earlier",
        actor=request.actor(),
        now=clock.now(),
    )
    return redirect("reconciliation:auto_rule_list", request.merchant.slug)
