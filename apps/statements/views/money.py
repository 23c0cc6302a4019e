"""Where the money is, and the lists of settlements and bank lines."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from django.views.decorators.http import require_safe

from apps.core import clock
from apps.core.htmx import render_page, wants_fragment
from apps.merchants.access import MerchantRequest, merchant_view
from apps.platforms.selectors import list_accounts
from apps.statements.forms import BankFilterForm, SettlementFilterForm
from apps.statements.models import BankLine, Settlement
from apps.statements.selectors.money import MOST_DAYS, where_is_money
from apps.statements.selectors.settlements import (
    BankFilters,
    DayPage,
    SettlementFilters,
    covered_until,
    has_bank_lines,
    list_bank_accounts,
    list_bank_files,
    page_bank_lines,
    page_settlements,
    places_of,
)


def _status(request: MerchantRequest, form: Any) -> int:
    if form.is_valid():
        return 200
    return 422 if wants_fragment(request) else 400


@merchant_view("reconciliation.view")
@require_safe
def money_where(request: MerchantRequest) -> HttpResponse:
    """What each platform owes, and where it is: taken, on its way, arrived, overdue, held back."""
    today = clock.business_date(clock.now())
    money = where_is_money(today=today)
    context = {
        "money": money,
        "today": today,
        "most_days": f":{MOST_DAYS}",
        "totals": {
            name: money.total(name)
            for name in (
                "taken",
                "taken_free",
                "reserve_there",
                "on_its_way",
                "unseen",
                "overdue",
                "held",
                "arrived",
                "differs",
                "stray",
            )
        },
    }
    return render_page(request, "statements/money_where.html", context)


@merchant_view("reconciliation.view")
@require_safe
def settlement_list(request: MerchantRequest) -> HttpResponse:
    """Settlements, newest cycle day first, and where each one's money is."""
    today = clock.business_date(clock.now())
    accounts = list(list_accounts().defer("credentials_sealed"))
    form = SettlementFilterForm(request.GET, accounts=accounts)
    page: DayPage[Settlement] = DayPage()
    if form.is_valid():
        data = form.cleaned_data
        page = page_settlements(
            SettlementFilters(data["account"], data["show"], data["date_from"], data["date_to"]),
            today=today,
            after=request.GET.get("after", ""),
            before=request.GET.get("before", ""),
        )
    places = places_of(page.rows, today=today) if page.rows else {}
    context = {
        "form": form,
        "page": page,
        "rows": [(row, places[row.pk]) for row in page.rows],
        "narrowed": any(request.GET.get(name) for name in form.fields),
        "accounts": accounts,
    }
    return render_page(
        request,
        "statements/settlement_list.html",
        context,
        partial="settlements",
        status=_status(request, form),
    )


@merchant_view("reconciliation.view")
@require_safe
def bank_line_list(request: MerchantRequest) -> HttpResponse:
    """What the bank shows, newest day first, and what each line pays."""
    accounts = list_bank_accounts()
    form = BankFilterForm(request.GET, accounts=accounts)
    page: DayPage[BankLine] = DayPage()
    if form.is_valid():
        data = form.cleaned_data
        page = page_bank_lines(
            BankFilters(
                bank_account_id=data["bank_account"],
                show=data["show"],
                first=data["date_from"],
                last=data["date_to"],
                text=data["text"],
                minor=data["amount"],
            ),
            after=request.GET.get("after", ""),
            before=request.GET.get("before", ""),
        )
    context = {
        "form": form,
        "page": page,
        "narrowed": any(request.GET.get(name) for name in form.fields),
        "accounts": accounts,
        "files": list_bank_files(limit=5),
        "covered": covered_until() if page.rows or has_bank_lines() else None,
    }
    return render_page(
        request,
        "statements/bank_line_list.html",
        context,
        partial="lines",
        status=_status(request, form),
    )
