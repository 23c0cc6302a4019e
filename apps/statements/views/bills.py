"""Every bill that is expected or here, of every kind."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.http import HttpResponse
from django.views.decorators.http import require_safe

from apps.core import clock
from apps.core.htmx import render_page
from apps.merchants.access import MerchantRequest, merchant_view
from apps.platforms.selectors import list_accounts
from apps.statements import selectors
from apps.statements.months import month_after, month_before, read_month


@merchant_view("reconciliation.view")
@require_safe
def statement_list(request: MerchantRequest) -> HttpResponse:
    """Bills by day, account and kind, newest first, a month a page: what is here, what is awaited, when and why."""
    now = clock.now()
    accounts = list(list_accounts().defer("credentials_sealed"))
    asked = request.GET.get("account", "")
    account_id = next((row.pk for row in accounts if str(row.pk) == asked), None)
    known = selectors.days_known()
    yesterday = clock.business_date(now) - timedelta(days=1)
    month = read_month(
        request.GET.get("month", ""), default=min(known[1], yesterday) if known else yesterday
    )
    context = {
        "accounts": accounts,
        "account_id": account_id,
        "any_days": known is not None,
        "month": month,
        "bills": selectors.list_bills(since=month, until=month_after(month), account_id=account_id),
        "newer": month_after(month) if known and month < known[1].replace(day=1) else None,
        "older": month_before(month) if known and month > known[0] else None,
        "exports": [row for row in accounts if selectors.is_asked(row.platform)],
        "uploads": selectors.list_uploads(),
        "keep_days": settings.STATEMENT_QUARANTINE_DAYS,
        "now": now,
    }
    return render_page(request, "statements/statement_list.html", context)
