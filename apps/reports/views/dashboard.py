"""Today: what came in, what waits, and for a new merchant what to do first."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext as _
from django.utils.translation import pgettext
from django.views.decorators.http import require_GET

from apps.core import clock
from apps.core.htmx import render_page
from apps.merchants.access import MerchantRequest, merchant_view
from apps.reconciliation.selectors import last_day, short_morning
from apps.reports import wording
from apps.reports.selectors import (
    Day,
    FirstRun,
    Names,
    TransactionFilters,
    day_so_far,
    first_run,
    list_transactions,
    load_names,
    what_needs,
)
from apps.reports.views.rows import english, rows_of

LATEST = 8


def _page(request: MerchantRequest, name: str, permission: str) -> str:
    """The address of another room's page, empty where the member may not or the page does not exist."""
    if permission not in request.permissions:
        return ""
    try:
        return reverse(name, args=[request.merchant.slug])
    except NoReverseMatch:
        return ""


def _steps(request: MerchantRequest, run: FirstRun) -> list[dict[str, Any]]:
    """The three steps; the first that is not done is the present one."""
    wallet = f"{settings.SIMULATOR_URL}/wallet/" if settings.SIMULATOR_URL else ""
    steps: list[dict[str, Any]] = [
        {
            "title": _("Connect a payment platform"),
            "text": _(
                "WeChat Pay, Alipay, UnionPay or Shouqianba. The credentials are checked with the platform while you save."
            ),
            "done": run.platform,
            "href": _page(request, "platforms:account_list", "platforms.manage"),
            "action": _("Connect"),
        },
        {
            "title": _("Create a code"),
            "text": _("For the counter, a table, a stall. Print it or show it on a screen."),
            "done": run.code,
            "href": _page(request, "qrcodes:code_list", "codes.manage"),
            "action": _("Create a code"),
        },
        {
            "title": _("Take the first payment"),
            "text": _("Scan your code with a phone and pay one fen. It appears here by itself."),
            "done": run.payment,
            "href": _page(request, "qrcodes:code_list", "codes.view") if run.code else "",
            "action": _("Show the code"),
            "href2": wallet,
            "action2": _("Try it with the simulator's wallet"),
        },
    ]
    present = next((step for step in steps if not step["done"]), None)
    for step in steps:
        step["now"] = step is present
    return steps


def _chart(day: Day) -> dict[str, Any]:
    """The bars; amounts in fen, for the chart's script to divide."""
    return {
        "labels": [f"{hour.hour:02d}:00" for hour in day.hours],
        "today": [hour.today for hour in day.hours],
        "before": [hour.before for hour in day.hours],
        "names": [pgettext("page", "Today"), _("A week ago")],
    }


def _named_shares(day: Day, names: Names) -> list[dict[str, Any]]:
    words = english()
    shares = []
    for share in day.stores:
        if share.key is None:
            # Taken outside the portal, of no store.
            shares.append({"share": share, "name": _("No store")})
            continue
        store = names.stores.get(share.key)
        shares.append({"share": share, "name": wording.name_of(store, words) if store else "–"})
    return shares


@require_GET
@merchant_view("dashboard.view")
def dashboard(request: MerchantRequest) -> HttpResponse:
    """The day so far, live. Who takes money and sees only their own stands at the desk: it is their first page."""
    if "payments.take" in request.permissions and "takings.view" not in request.permissions:
        return redirect("till:desk", request.merchant.slug)
    now = clock.now()
    names = load_names()
    run = first_run()
    day = day_so_far(now=now, day_starts_at=request.merchant.day_starts_at)
    may_list = "transactions.view" in request.permissions
    latest = list_transactions(TransactionFilters(), size=LATEST).rows if may_list else []
    needs = what_needs(
        member=request.member,
        permissions=request.permissions,
        today=clock.business_date(now),
        now=now,
    )
    context = {
        "now": now,
        "day": day,
        "run": run,
        "steps": [] if run.done else _steps(request, run),
        "stores": _named_shares(day, names),
        "chart": _chart(day),
        "rows": rows_of(latest, names),
        "needs": needs,
        "change": day.change_percent,
        "approvals_url": _page(request, "approvals:approval_list", "refunds.approve")
        or _page(request, "refunds:refund_list", "refunds.view"),
        "refunds_url": f"{reverse('reports:transaction_list', args=[request.merchant.slug])}?state=attention",
        "yesterday": short_morning(last_day(now))
        if "reconciliation.view" in request.permissions
        else None,
        "morning_url": _page(request, "reconciliation:morning", "reconciliation.view"),
        "differences_url": _page(request, "reconciliation:morning", "reconciliation.view"),
        "alerts_url": _page(request, "qrcodes:alert_list", "codes.manage"),
        "risk_url": _page(request, "risk:alert_list", "risk.view"),
        "accounts_url": _page(request, "platforms:account_list", "platforms.view"),
        "many_stores": len(names.stores) > 1,
        "day_starts_at": request.merchant.day_starts_at,
    }
    return render_page(request, "reports/dashboard.html", context, partial="today")
