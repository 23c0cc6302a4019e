"""What is kept back for refunds, and whether balances suffice."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.core import clock
from apps.core.htmx import render_page
from apps.core.money import Money
from apps.merchants.access import MerchantRequest, merchant_view
from apps.platforms.models import PlatformAccount
from apps.platforms.selectors import get_account, list_accounts
from apps.statements.forms import ReserveForm, WatchForm
from apps.statements.reserving import SUGGEST_DAYS, USUAL_DAYS, USUAL_PERCENT, Suggestion
from apps.statements.selectors.reserve import (
    KEPT_DAYS,
    assess,
    in_force,
    list_reserves,
    moves_of,
    planned,
    suggestion_for,
    versions_of,
    watch_of,
)
from apps.statements.services import (
    ReserveRefused,
    WatchRefused,
    set_reserve_terms,
    set_watch,
)


def _account_or_404(account_id: int) -> PlatformAccount:
    try:
        return get_account(account_id)
    except PlatformAccount.DoesNotExist as error:
        raise Http404 from error


@merchant_view("reconciliation.view")
@require_safe
def reserve_list(request: MerchantRequest) -> HttpResponse:
    """What is kept back of each account, and whose balance is low."""
    today = clock.business_date(clock.now(), request.merchant.day_starts_at)
    accounts = list(list_accounts().defer("credentials_sealed"))
    return render(
        request, "statements/reserve_list.html", {"rows": list_reserves(accounts, today=today)}
    )


@merchant_view("reconciliation.view")
@require_safe
def reserve_detail(request: MerchantRequest, account_id: int) -> HttpResponse:
    """One account: what is kept back, whether it suffices, what would have been needed, each move."""
    account = _account_or_404(account_id)
    return _detail(request, account, WatchForm(watch=watch_of(account.pk)))


def _detail(
    request: MerchantRequest, account: PlatformAccount, watch_form: WatchForm, *, status: int = 200
) -> HttpResponse:
    now = clock.now()
    today = clock.business_date(now, request.merchant.day_starts_at)
    versions = versions_of(account.pk)
    terms = in_force(versions, today)
    found = assess(
        account,
        watch=watch_of(account.pk),
        today=today,
        calendar_day=clock.business_date(now),
    )
    suggestion = suggestion_for(
        account.pk, today=today, kept_days=terms.days if terms is not None else KEPT_DAYS
    )
    context = {
        "account": account,
        "terms": terms,
        "planned": planned(versions, today),
        "versions": versions,
        "money": found.money,
        "weighed": found.weighed,
        "daily_net": found.daily_net,
        "suggestion": suggestion,
        "suggested_percent": _percent(suggestion.share_bp),
        "suggested_query": _query(suggestion),
        "kept_days": terms.days if terms is not None else KEPT_DAYS,
        "suggest_days": SUGGEST_DAYS,
        "usual_days": USUAL_DAYS,
        "usual_percent": USUAL_PERCENT,
        "moves": moves_of(account.pk),
        "watch_form": watch_form,
    }
    return render_page(request, "statements/reserve_detail.html", context, status=status)


def _percent(share_bp: int | None) -> str:
    return "" if share_bp is None else f"{(Decimal(share_bp) / 100).normalize():f}"


def _query(suggestion: Suggestion) -> str:
    return f"?amount={Money(suggestion.minor).to_yuan()}" if suggestion.minor else ""


def _refusal(reason: str) -> tuple[str | None, str]:
    return {
        "share": ("share", _("It cannot be more than 100 percent.")),
        "ceiling": ("ceiling", _("It cannot be more than 100 million yuan.")),
        "days": ("days", _("Between one and 180 days.")),
        "past": (
            "effective_from",
            _("That day has passed, and its takings are booked. Choose today or later."),
        ),
        "far": ("effective_from", _("A year ahead at most.")),
        "same": (None, _("These terms hold already, so nothing is to be changed.")),
        "changed": (
            None,
            _("Somebody has changed the terms meanwhile. Look at them, then save again."),
        ),
    }[reason]


@merchant_view("reconciliation.manage")
@require_http_methods(["GET", "HEAD", "POST"])
def reserve_edit(request: MerchantRequest, account_id: int) -> HttpResponse:
    """The next version of what is kept back of an account's takings."""
    account = _account_or_404(account_id)
    now = clock.now()
    today = clock.business_date(now, request.merchant.day_starts_at)
    versions = versions_of(account.pk)
    initial: dict[str, Any] = {}
    if amount := request.GET.get("amount"):
        # Led here by the suggestion; what is typed is judged as ever.
        initial = {"kind": "amount", "ceiling": amount[:20]}
    form = ReserveForm(
        request.POST if request.method == "POST" else None,
        last=versions[0] if versions else None,
        today=today,
        initial=initial,
    )
    status = 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            try:
                set_reserve_terms(
                    account_id=account.pk,
                    member=request.member,
                    actor=request.actor(),
                    now=now,
                    **form.values(),
                )
            except ReserveRefused as refused:
                if refused.reason == "changed":
                    status = 409
                    versions = versions_of(account.pk)
                    latest = {"expected": str(versions[0].version if versions else 0)}
                    typed = {**request.POST.dict(), **latest}
                    form = ReserveForm(typed, last=None, today=today)
                form.add_error(*_refusal(refused.reason))
            else:
                messages.success(
                    request, _("Saved. It is booked an hour after each business day has ended.")
                )
                return redirect("settlements:reserve_detail", request.merchant.slug, account.pk)
    context = {"account": account, "form": form, "terms": in_force(versions, today)}
    return render(request, "statements/reserve_edit.html", context, status=status)


@merchant_view("reconciliation.manage")
@require_POST
def watch_edit(request: MerchantRequest, account_id: int) -> HttpResponse:
    """When to be warned of a low balance."""
    account = _account_or_404(account_id)
    form = WatchForm(request.POST, watch=watch_of(account.pk))
    if form.is_valid():
        try:
            set_watch(
                account_id=account.pk,
                is_on=form.cleaned_data["is_on"],
                least_minor=form.cleaned_data["least"],
                member=request.member,
                actor=request.actor(),
                now=clock.now(),
            )
        except WatchRefused:
            form.add_error("least", _("It cannot be more than 100 million yuan."))
        else:
            messages.success(request, _("Saved. The balance is looked at each hour."))
            return redirect("settlements:reserve_detail", request.merchant.slug, account.pk)
    return _detail(request, account, form, status=422)
