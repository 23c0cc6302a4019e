"""What each account allows matching to do."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from apps.core import clock
from apps.merchants.access import MerchantRequest, merchant_view
from apps.platforms.selectors import list_accounts
from apps.reconciliation import selectors, services
from apps.reconciliation.forms import AccountRuleForm
from apps.reconciliation.models import AccountRule


@merchant_view("reconciliation.manage")
@require_http_methods(["GET", "HEAD", "POST"])
def account_rules(request: MerchantRequest) -> HttpResponse:
    """A form for each account: matching by amount and time, and how fees are rounded."""
    accounts = list(list_accounts().defer("credentials_sealed"))
    given: AccountRuleForm | None = None
    chosen = request.POST.get("account", "")
    if request.method == "POST":
        account = next((row for row in accounts if str(row.pk) == chosen), None)
        if account is None:
            raise Http404
        given = AccountRuleForm(request.POST, account_id=account.pk)
        if given.is_valid():
            services.set_account_rule(
                account_id=account.pk, actor=request.actor(), now=clock.now(), **given.cleaned_data
            )
            messages.success(
                request,
                _("Saved. Days that were matched before change when they are matched again."),
            )
            return redirect("reconciliation:account_rules", request.merchant.slug)
    rules = selectors.account_rules()
    entries: list[dict[str, Any]] = []
    for row in accounts:
        rule = rules.get(row.pk) or AccountRule()
        form = AccountRuleForm(
            account_id=row.pk,
            initial={
                "fallback_minutes": rule.fallback_minutes,
                "fee_rounding": rule.fee_rounding,
                "fee_tolerance_minor": rule.fee_tolerance_minor,
            },
        )
        entries.append({"account": row, "form": given if given and str(row.pk) == chosen else form})
    return render(
        request,
        "reconciliation/account_rules.html",
        {"entries": entries},
        status=422 if given else 200,
    )
