"""Jobs and the audit trail of one merchant."""

from __future__ import annotations

from dataclasses import replace

from django.http import HttpResponse
from django.views.decorators.http import require_safe

from apps.core import clock
from apps.core.htmx import render_page
from apps.core.models import AuditEvent
from apps.merchants.access import MerchantRequest, merchant_view
from apps.operations.selectors import audit_page, terminals_checked_in, waiting_jobs
from apps.operations.wording import ACTIONS, due_name, reason_words
from apps.reports.timeline import Entry, entry_of


@require_safe
@merchant_view("audit.view")
def audit_list(request: MerchantRequest) -> HttpResponse:
    """Who did what, when, from where."""
    page = audit_page(after=request.GET.get("after", ""), action=request.GET.get("action", "")[:40])
    rows = [(event, _told(event)) for event in page.rows]
    return render_page(
        request, "operations/audit_list.html", {"rows": rows, "older": page.older}, partial="rows"
    )


def _told(event: AuditEvent) -> Entry:
    """The event in words: the order's own sentence, or the room's."""
    entry = entry_of(event)
    words = ACTIONS.get(event.action)
    return replace(entry, title=str(words)) if words else entry


@require_safe
@merchant_view("audit.view")
def job_list(request: MerchantRequest) -> HttpResponse:
    """What the portal has still to do for this merchant, and what failed last time."""
    now = clock.now()
    dues = waiting_jobs()
    terminals = terminals_checked_in(dues)
    jobs = [
        (due, due_name(due, terminals), reason_words(due.last_error, pace=None, now=now))
        for due in dues
    ]
    return render_page(request, "operations/job_list.html", {"jobs": jobs, "now": now})
