"""One version of a bill: its rows, and what is different from the version before."""

from __future__ import annotations

from django.http import Http404, HttpResponse
from django.views.decorators.http import require_safe

from apps.core.htmx import render_page
from apps.merchants.access import MerchantRequest, merchant_view
from apps.statements import selectors
from apps.statements.models import ChangeKind, Statement


def _statement_or_404(statement_id: int) -> Statement:
    try:
        return selectors.get_statement(statement_id)
    except Statement.DoesNotExist as error:
        raise Http404 from error


@merchant_view("reconciliation.view")
@require_safe
def statement_detail(request: MerchantRequest, statement_id: int) -> HttpResponse:
    """What was read of a bill, row by row in the order of its file, a page at a time."""
    statement = _statement_or_404(statement_id)
    context = {
        "statement": statement,
        "page": selectors.page_lines(statement, after=request.GET.get("after", "")),
        "first": not request.GET.get("after"),
    }
    return render_page(request, "statements/statement_detail.html", context)


@merchant_view("reconciliation.view")
@require_safe
def statement_changes(request: MerchantRequest, statement_id: int) -> HttpResponse:
    """Rows added, removed and changed from the version before to this one. ``?kind=`` narrows to one sort."""
    statement = _statement_or_404(statement_id)
    kind = request.GET.get("kind", "")
    sums = selectors.change_sums(statement)
    context = {
        "statement": statement,
        "before": selectors.previous_version(statement),
        "sums": sums,
        "total": sum(one.count for one in sums),
        "effect_minor": sum(one.effect_minor for one in sums),
        "fee_effect_minor": sum(one.fee_effect_minor for one in sums),
        "kind": kind if kind in ChangeKind.values else "",
        "page": selectors.page_changes(statement, kind=kind, after=request.GET.get("after", "")),
    }
    return render_page(request, "statements/statement_changes.html", context)
