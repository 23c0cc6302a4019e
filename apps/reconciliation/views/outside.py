"""Money that did not begin in the portal: the rules for it, and old bills as history."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_http_methods

from apps.core import clock
from apps.core.htmx import render_page
from apps.core.templatetags.portal import money
from apps.merchants.access import MerchantRequest, merchant_view
from apps.platforms.models import PlatformAccount
from apps.platforms.selectors import list_accounts, list_stores
from apps.reconciliation import selectors, services
from apps.reconciliation.forms import HistoryForm, OutsideRuleForm
from apps.reconciliation.models import RuleScope
from apps.reconciliation.outside_words import LEFT_WORDS, outside_rule_words
from apps.statements.selectors import is_asked


def _accounts() -> list[PlatformAccount]:
    return list(list_accounts().defer("credentials_sealed"))


@merchant_view("reconciliation.manage")
@require_http_methods(["GET", "HEAD"])
def outside_rules(request: MerchantRequest) -> HttpResponse:
    """The rules as sentences, by account."""
    by_account: dict[int, list[dict[str, Any]]] = {}
    for row in selectors.list_outside_rules():
        entry = {"rule": row, "sentence": outside_rule_words(row)}
        by_account.setdefault(row.account_id, []).append(entry)
    context = {
        "entries": [
            {"account": account, "rules": by_account.get(account.pk, [])} for account in _accounts()
        ]
    }
    return render(request, "reconciliation/outside_rules.html", context)


def _initial(request: MerchantRequest) -> tuple[int | None, dict[str, Any]]:
    """The account and the rule that an address asks for: by a bill's row, or by the account alone."""
    line = request.GET.get("line", "")
    if line.isascii() and line.isdecimal() and len(line) < 19:
        place = selectors.place_of(int(line))
        if place is None:
            raise Http404
        scope, value = place.narrowest
        return place.account_id, {"scope": scope.value, "value": value, "valid_from": place.day}
    account = request.GET.get("account", "")
    today = clock.business_date(clock.now())
    if account.isascii() and account.isdecimal() and len(account) < 19:
        return int(account), {"valid_from": today - timedelta(days=1)}
    return None, {}


def _trial_words(trial: services.Trial) -> dict[str, Any]:
    """What a rule would do, as the page says it."""
    made = trial.made
    sales = ngettext("%(count)s sale", "%(count)s sales", made.payments.count) % {
        "count": f"{made.payments.count:,}"
    }
    refunds = ngettext("%(count)s refund", "%(count)s refunds", made.refunds.count) % {
        "count": f"{made.refunds.count:,}"
    }
    return {
        "day": trial.day,
        "any": bool(made.count),
        "sentence": _(
            "The rules would then book %(sales)s of %(sales_amount)s and %(refunds)s of %(refunds_amount)s."
        )
        % {
            "sales": sales,
            "sales_amount": money(made.payments.minor),
            "refunds": refunds,
            "refunds_amount": money(made.refunds.minor),
        },
        "left": [
            {"why": LEFT_WORDS[reason], "count": tally.count, "minor": tally.minor}
            for reason, tally in made.left.items()
        ],
    }


@merchant_view("reconciliation.manage")
@require_http_methods(["GET", "HEAD", "POST"])
def outside_rule_create(request: MerchantRequest) -> HttpResponse:
    """Word a rule, see what it would do with the last bill, then save it."""
    chosen, initial = _initial(request)
    if request.method == "POST":
        posted = request.POST.get("account", "")
        chosen = (
            int(posted) if posted.isascii() and posted.isdecimal() and len(posted) < 19 else None
        )
    account = next((row for row in _accounts() if row.pk == chosen), None)
    if account is None:
        raise Http404
    form = OutsideRuleForm(
        request.POST if request.method == "POST" else None, stores=list_stores(), initial=initial
    )
    trial, tried = None, False
    if request.method == "POST" and form.is_valid():
        wanted = services.Wanted(
            account_id=account.pk,
            scope=RuleScope(form.cleaned_data["scope"]),
            value=form.cleaned_data["value"],
            books=form.cleaned_data["books"],
            store_id=form.cleaned_data["store"],
            valid_from=form.cleaned_data["valid_from"],
        )
        if "save" in request.POST:
            try:
                services.add_outside_rule(
                    wanted, member=request.member, actor=request.actor(), now=clock.now()
                )
            except services.RuleExists:
                form.add_error(
                    None,
                    _(
                        "There is a rule about the same from that day on. Retire it first, or choose another day."
                    ),
                )
            else:
                messages.success(
                    request, _("Saved. Days with unknown rows are being matched again.")
                )
                return redirect("reconciliation:outside_rules", request.merchant.slug)
        else:
            trial, tried = services.try_outside_rule(wanted), True
    context = {
        "account": account,
        "form": form,
        "tried": tried,
        "trial": _trial_words(trial) if trial else None,
        "named": selectors.named_in(selectors.last_run(account.pk)),
        "scopes": {scope.value: scope.label for scope in RuleScope},
    }
    return render(
        request,
        "reconciliation/outside_rule_create.html",
        context,
        status=422 if form.errors else 200,
    )


@merchant_view("reconciliation.manage")
@require_http_methods(["GET", "HEAD", "POST"])
def outside_rule_retire(request: MerchantRequest, outside_rule_id: int) -> HttpResponse:
    """Let a rule hold no longer, after saying what that means."""
    rule = selectors.get_outside_rule(outside_rule_id)
    if rule is None:
        raise Http404
    if request.method == "POST":
        services.retire_outside_rule(
            rule_id=rule.pk, member=request.member, actor=request.actor(), now=clock.now()
        )
        messages.success(request, _("The rule no longer holds. What it booked stays booked."))
        return redirect("reconciliation:outside_rules", request.merchant.slug)
    context = {"rule": rule, "sentence": outside_rule_words(rule)}
    return render_page(request, "reconciliation/outside_rule_retire.html", context)


@merchant_view("reconciliation.manage")
@require_http_methods(["GET", "HEAD", "POST"])
def history_import(request: MerchantRequest) -> HttpResponse:
    """Old bills as history: choose an account and a period, and see how far it is."""
    accounts = [row for row in _accounts() if not is_asked(row.platform)]
    yesterday = clock.business_date(clock.now()) - timedelta(days=1)
    form = HistoryForm(
        request.POST if request.method == "POST" else None,
        accounts=accounts,
        yesterday=yesterday,
        stores=list_stores(),
        longest=services.LONGEST,
        initial={"day": _year_begins(yesterday), "until": yesterday},
    )
    if request.method == "POST" and form.is_valid():
        asked = form.cleaned_data
        services.import_history(
            account_id=asked["account"],
            since=asked["day"],
            until=asked["until"],
            store_id=asked["store"],
            member=request.member,
            actor=request.actor(),
            now=clock.now(),
        )
        messages.success(
            request, _("The bills are being fetched, the oldest first. You may leave this page.")
        )
        return redirect("reconciliation:history_import", request.merchant.slug)
    history = selectors.list_history()
    context = {
        "accounts": accounts,
        "form": form,
        "history": history,
        "goes_on": any(not one.is_over for one in history),
    }
    return render_page(
        request,
        "reconciliation/history_import.html",
        context,
        partial="progress",
        status=422 if form.errors else 200,
    )


def _year_begins(day: date) -> date:
    return day.replace(month=1, day=1)
