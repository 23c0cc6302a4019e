"""The page of the refund rule."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from apps.core import clock
from apps.core.money import Money
from apps.merchants.access import MerchantRequest, merchant_view
from apps.refunds.forms import RuleForm
from apps.refunds.selectors import current_rule, rule_history, rule_sentence
from apps.refunds.services import set_rule


@merchant_view("rules.view")
@require_http_methods(["GET", "HEAD", "POST"])
def rule_edit(request: MerchantRequest) -> HttpResponse:
    """The rule in force, its change, and its earlier versions."""
    may_change = "rules.manage" in request.permissions
    rule = current_rule()
    initial = {"version": rule.version, "threshold": Money(rule.threshold_minor).to_yuan()}
    form = RuleForm(request.POST if request.method == "POST" else None, initial=initial)
    note = ""
    if request.method == "POST":
        if not may_change:
            raise PermissionDenied("rules.manage")
        if form.is_valid():
            threshold = form.cleaned_data["threshold"]
            if threshold.minor == rule.threshold_minor:
                # Sent twice, or saved without a change: there is nothing to write.
                messages.success(request, _("This rule is in force."))
                return redirect("refunds:rule_edit", request.merchant.slug)
            if form.cleaned_data["version"] == rule.version:
                set_rule(
                    threshold=threshold,
                    confirmations=rule.confirmations,
                    member=request.member,
                    actor=request.actor(),
                    now=clock.now(),
                )
                messages.success(
                    request, _("The new rule is in force. Refunds already asked for keep theirs.")
                )
                return redirect("refunds:rule_edit", request.merchant.slug)
            note = _("Somebody has changed the rule meanwhile. Look at it, then save again.")
            typed = {"version": rule.version, "threshold": request.POST["threshold"]}
            form = RuleForm(typed, initial=initial)
    over = Money(rule.threshold_minor + 1)
    context = {
        "form": form,
        "rule": rule,
        "sentences": [rule_sentence(rule, Money(rule.threshold_minor)), rule_sentence(rule, over)],
        "everything": rule.threshold_minor == 0,
        "history": rule_history(),
        "may_change": may_change,
        "note": note,
    }
    status = 422 if form.errors else 409 if note else 200
    return render(request, "refunds/rule_edit.html", context, status=status)
