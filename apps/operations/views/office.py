"""Jobs and the audit trail of one merchant."""

from __future__ import annotations

from django.core.exceptions import BadRequest
from django.http import HttpResponse
from django.views.decorators.http import require_safe

from apps.core import clock
from apps.core.htmx import render_page
from apps.merchants.access import MerchantRequest, merchant_view
from apps.operations.selectors import BadCursor, audit_page, waiting_jobs
from apps.operations.wording import JOBS


@require_safe
@merchant_view("audit.view")
def audit_list(request: MerchantRequest) -> HttpResponse:
    """Who did what, when, from where."""
    try:
        page = audit_page(
            cursor=request.GET.get("before", ""), action=request.GET.get("action", "")[:40]
        )
    except BadCursor as error:
        raise BadRequest from error
    return render_page(
        request,
        "operations/audit_list.html",
        {"page": page, "action": request.GET.get("action", "")},
        partial="rows",
    )


@require_safe
@merchant_view("audit.view")
def job_list(request: MerchantRequest) -> HttpResponse:
    """What the portal has still to do for this merchant, and what failed last time."""
    jobs = [(due, JOBS.get(due.task, due.task)) for due in waiting_jobs()]
    return render_page(request, "operations/job_list.html", {"jobs": jobs, "now": clock.now()})
