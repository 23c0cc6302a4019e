"""The pages that show what the platforms delivered."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from apps.core import clock
from apps.core.htmx import render_page
from apps.merchants.access import MerchantRequest, merchant_view
from apps.platforms import selectors, services, wording
from apps.platforms.forms import NotificationFilterForm
from apps.platforms.models import Notification, NotificationState
from apps.platforms.selectors import NotificationFilters


def _address(request: MerchantRequest, name: str, place: str) -> str:
    if not place:
        return ""
    query = request.GET.copy()
    for other in ("after", "before"):
        query.pop(other, None)
    query[name] = place
    return f"?{query.urlencode()}"


@require_GET
@merchant_view("platforms.view")
def notification_list(request: MerchantRequest) -> HttpResponse:
    """All deliveries, newest first, with the filter bar."""
    accounts = list(selectors.list_accounts())
    form = NotificationFilterForm(request.GET, accounts=accounts)
    form.is_valid()
    asked: dict[str, Any] = form.cleaned_data
    filters = NotificationFilters(
        account_id=asked.get("account"),
        state=asked.get("state", ""),
        verdict=asked.get("verdict", ""),
        order_no=asked.get("order_no", "").strip(),
    )
    page = selectors.page_notifications(
        filters, after=request.GET.get("after", ""), before=request.GET.get("before", "")
    )
    by_pk = {account.pk: account for account in accounts}
    context = {
        "form": form,
        "rows": [
            {
                "row": row,
                "account": by_pk.get(row.account_id),
                "words": wording.notification_words(row),
                "badge": wording.notification_badge(row),
                "verdict": wording.verdict_words(row),
            }
            for row in page.rows
        ],
        "filtered": filters != NotificationFilters(),
        "newer": _address(request, "before", page.newer),
        "older": _address(request, "after", page.older),
        "has_accounts": bool(accounts),
    }
    return render_page(request, "platforms/notification_list.html", context, partial="rows")


def _notification_or_404(notification_id: int) -> Notification:
    try:
        return selectors.get_notification(notification_id)
    except Notification.DoesNotExist as error:
        raise Http404 from error


@require_GET
@merchant_view("platforms.view")
def notification_detail(request: MerchantRequest, notification_id: int) -> HttpResponse:
    """One delivery: verdict, what became of it, headers. Its body is never shown."""
    row = _notification_or_404(notification_id)
    settled = row.state in {NotificationState.APPLIED, NotificationState.REPEATED}
    context = {
        "row": row,
        "account": selectors.get_account(row.account_id),
        "words": wording.notification_words(row),
        "badge": wording.notification_badge(row),
        "verdict": wording.verdict_words(row),
        "urgent": row.state == NotificationState.FAILED,
        "detail": wording.notification_detail(row),
        "headers": wording.shown_headers(row.headers),
        "size": row.headers.get("content-length", ""),
        "sha256": bytes(row.body_sha256).hex(),
        "body_kept": row.body_sealed is not None,
        "may_reprocess": not settled and row.body_sealed is not None,
    }
    return render_page(request, "platforms/notification_detail.html", context)


@require_POST
@merchant_view("platforms.manage")
def notification_reprocess(request: MerchantRequest, notification_id: int) -> HttpResponse:
    """Try a stored delivery again."""
    try:
        row = services.reprocess_notification(
            notification_id=notification_id, now=clock.now(), actor=request.actor()
        )
    except services.NotificationNotFound as error:
        raise Http404 from error
    except services.BodyExpired:
        messages.error(
            request, _("Its content is no longer kept, so it cannot be processed again.")
        )
    else:
        say = messages.success if row.state == NotificationState.APPLIED else messages.warning
        say(request, wording.notification_words(row))
    return redirect("platforms:notification_detail", request.merchant.slug, notification_id)
