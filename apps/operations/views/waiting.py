"""What is waiting: payments and refunds under way, why they wait, and how the platforms answer."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from apps.core import clock, keyset
from apps.core.htmx import render_page
from apps.core.models import Due
from apps.merchants.access import MerchantRequest, merchant_view
from apps.operations import selectors, services, wording
from apps.platforms.models import PlatformAccount


@require_safe
@merchant_view("platforms.view")
def waiting_list(request: MerchantRequest) -> HttpResponse:
    """Payments and refunds that the platforms are asked about, other work, and how each account's platform answers."""
    now = clock.now()
    after = keyset.decode_id(request.GET.get("after", ""))
    before = keyset.decode_id(request.GET.get("before", ""))
    accounts = selectors.accounts_with_pace()
    paces = {account.pk: pace for account, pace in accounts}
    page = selectors.waiting_page(after=after, before=before)
    rows = []
    for waiting in page.rows:
        pace = paces.get(waiting.account_id or 0)
        rows.append(
            {
                "waiting": waiting,
                "about": waiting.refund or waiting.payment,
                "number": waiting.number,
                "order_id": waiting.order_id,
                "job": wording.job_name(waiting.due.task),
                "why": wording.waiting_words(waiting, pace=pace, now=now),
                "busy": waiting.due.claimed_until is not None and waiting.due.claimed_until > now,
                "soon": waiting.due.due_at <= now,
                "held": wording.pace_entry(pace, now=now)["may_try"],
            }
        )
    others = selectors.other_dues()
    terminals = selectors.terminals_checked_in(others)
    context = {
        "page": page,
        "rows": rows,
        "accounts": [
            (account, pace, wording.pace_entry(pace, now=now)) for account, pace in accounts
        ],
        "others": [
            (
                due,
                wording.due_name(due, terminals),
                wording.reason_words(due.last_error, pace=None, now=now),
            )
            for due in others[: selectors.OTHERS]
        ],
        "more_others": len(others) > selectors.OTHERS,
        # Only the newest page changes by itself: what stands on older ones would slide away under the reader.
        "live": after is None and before is None,
        "now": now,
    }
    return render_page(request, "operations/waiting_list.html", context, partial="waiting")


@require_POST
@merchant_view("platforms.manage")
def waiting_ask(request: MerchantRequest, due_id: int) -> HttpResponse:
    """Have a worker ask about one payment or refund now."""
    try:
        services.ask_now(due_id=due_id, now=clock.now())
    except Due.DoesNotExist as error:
        # Most likely it has just been answered.
        raise Http404 from error
    messages.success(request, _("It is asked about now."))
    return redirect("operations:waiting_list", request.merchant.slug)


@require_POST
@merchant_view("platforms.manage")
def waiting_try(request: MerchantRequest, account_id: int) -> HttpResponse:
    """Have a worker try an account's platform now, though it did not answer before."""
    try:
        account = services.try_platform_now(account_id=account_id, now=clock.now())
    except PlatformAccount.DoesNotExist as error:
        raise Http404 from error
    messages.success(request, _("%(account)s is tried now.") % {"account": account.label})
    return redirect("operations:waiting_list", request.merchant.slug)
