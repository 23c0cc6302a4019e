"""One thing done about many differences: choosing, confirming, watching."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.core import clock, keyset
from apps.core.htmx import render_page
from apps.ledger.models import Purpose
from apps.merchants.access import MerchantRequest, merchant_view
from apps.platforms.selectors import list_accounts
from apps.reconciliation import acts, selectors, services
from apps.reconciliation.forms import ActForm, DifferencesForm, OpenForm
from apps.reconciliation.models import (
    BulkAct,
    Difference,
    DifferenceState,
    ReconciliationRun,
    ResolutionKind,
)
from apps.reconciliation.services import Act
from apps.reconciliation.views.differences import open_filter
from apps.reconciliation.views.runs import run_filter

#: What may be ticked one by one; more is "all that the filter shows".
MOST_TICKED = 500
_FILTERS = ("type", "state", "age", "account", "owner")


def _chosen(request: MerchantRequest) -> QuerySet[Difference]:
    """What was chosen: ticked rows, or all that a filter shows, of one run or of all days."""
    data = request.POST
    if "all" not in data:
        ids = [int(each) for each in data.getlist("row")[:MOST_TICKED] if _is_id(each)]
        return services.chosen_rows(ids)
    now = clock.now()
    run_id = data.get("run", "")
    if _is_id(run_id):
        try:
            run = selectors.get_run(int(run_id))
        except ReconciliationRun.DoesNotExist as error:
            raise Http404 from error
        rows = run_filter(DifferencesForm(data), now).of(run)
        return rows.filter(state=DifferenceState.OPEN)
    accounts = list(list_accounts().defer("credentials_sealed"))
    form = OpenForm(data, accounts=accounts, owners=selectors.possible_owners())
    return open_filter(form, now).rows()


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 19


@merchant_view("reconciliation.manage")
@require_http_methods(["GET", "HEAD", "POST"])
def bulk_create(request: MerchantRequest) -> HttpResponse:
    """Confirm what is done about the chosen differences, then do it. ``kind`` names it.

    Asked for without a choice, as after a change of language, it leads back to the list.
    """
    if request.method != "POST":
        return redirect("reconciliation:difference_list", request.merchant.slug)
    data = request.POST
    kinds = {value for value, _words in acts.BULK_KINDS}
    rows = _chosen(request)
    count = rows.count()
    if data.get("kind") not in kinds or not count:
        messages.error(request, _("Choose rows and what to do about them first."))
        return redirect(_back(request))
    kind = ResolutionKind(data["kind"])
    if kind == ResolutionKind.ADJUST and "ledger.adjust" not in request.permissions:
        raise PermissionDenied(kind)
    if kind == ResolutionKind.ACCEPT and "ledger.adjust" not in request.permissions:
        rows = rows.exclude(type__in=selectors.ACCEPTED_BY_BOOKING)
    sure = "sure" in data
    form = ActForm(
        data if sure else None,
        kind=kind,
        purpose=Purpose.ADJUSTMENTS,
        owners=selectors.possible_owners(),
    )
    if sure and form.is_valid():
        given = form.cleaned_data
        bulk = services.start_bulk(
            rows=rows,
            act=Act(
                kind=kind,
                reason=(given.get("reason") or "").strip(),
                purpose=Purpose(given["purpose"]) if given.get("purpose") else None,
            ),
            owner_id=given.get("assignee"),
            member=request.member,
            actor=request.actor(),
            now=clock.now(),
        )
        return redirect("reconciliation:bulk_detail", request.merchant.slug, bulk.pk)
    context: dict[str, Any] = {
        "kind": kind,
        "words": acts.ACT_WORDS[kind],
        "form": form,
        "count": count,
        "sums": selectors.sum_chosen(rows),
        "first": list(selectors.with_both_sides(rows).order_by("pk")[:10]),
        "fields": [
            (name, value)
            for name in ("row", "all", "run", *_FILTERS)
            for value in data.getlist(name)
        ],
        "back": _back(request),
    }
    status = 422 if sure else 200
    return render(request, "reconciliation/bulk_create.html", context, status=status)


def _back(request: MerchantRequest) -> str:
    """Where the rows were chosen."""
    run_id = request.POST.get("run", "")
    if _is_id(run_id):
        return reverse("reconciliation:run_detail", args=[request.merchant.slug, int(run_id)])
    return reverse("reconciliation:difference_list", args=[request.merchant.slug])


def _bulk_or_404(bulk_id: int) -> BulkAct:
    try:
        return selectors.get_bulk(bulk_id)
    except BulkAct.DoesNotExist as error:
        raise Http404 from error


@merchant_view("reconciliation.view")
@require_safe
def bulk_detail(request: MerchantRequest, bulk_id: int) -> HttpResponse:
    """How far it is, and what came of each row; what was not done first."""
    bulk = _bulk_or_404(bulk_id)
    page = selectors.page_bulk(bulk, after=keyset.decode_id(request.GET.get("after", "")))
    rows = [
        {
            "row": row,
            "difference": row.difference,
            "is_done": row.outcome in {"done", "waiting"},
            "words": ""
            if row.outcome in {"", "done", "waiting"}
            else acts.refusal_code_words(row.outcome),
        }
        for row in page.rows
    ]
    context = {
        "bulk": bulk,
        "words": acts.ACT_WORDS[ResolutionKind(bulk.kind)],
        "rows": rows,
        "page": page,
        "left": bulk.total - bulk.done - bulk.failed,
        "settled": bulk.done + bulk.failed,
    }
    return render_page(request, "reconciliation/bulk_detail.html", context, partial="progress")


@merchant_view("reconciliation.manage")
@require_POST
def bulk_cancel(request: MerchantRequest, bulk_id: int) -> HttpResponse:
    """Do no more of it."""
    bulk = _bulk_or_404(bulk_id)
    services.cancel_bulk(bulk_id=bulk.pk, actor=request.actor(), now=clock.now())
    messages.success(
        request, _("Stopped. What was done stays; each row can be undone on its page.")
    )
    return redirect("reconciliation:bulk_detail", request.merchant.slug, bulk.pk)
