"""Adjustments once asked for: the list and one of them."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from apps.approvals.selectors import decisions_of, members_who_may
from apps.core import clock
from apps.core.encryption import CannotOpen
from apps.core.files import as_file
from apps.core.htmx import render_page
from apps.ledger.endings import ending_words
from apps.ledger.forms import AdjustmentFilterForm
from apps.ledger.models import Adjustment, AdjustmentPaper, AdjustmentState
from apps.ledger.selectors import (
    AdjustmentFilters,
    get_adjustment,
    has_adjustments,
    lines_of,
    page_adjustments,
    papers_of,
    reason_names,
    reason_words,
    reversal_of,
)
from apps.ledger.services import ADJUST_PERMISSION, read_paper
from apps.ledger.subjects import kind_words, links_of
from apps.merchants.access import MerchantRequest, merchant_view


def adjustment_or_404(adjustment_id: int) -> Adjustment:
    """The adjustment of an address."""
    try:
        return get_adjustment(adjustment_id)
    except Adjustment.DoesNotExist as error:
        raise Http404 from error


@merchant_view("ledger.view")
@require_safe
def adjustment_list(request: MerchantRequest) -> HttpResponse:
    """Adjustments, newest first."""
    names = reason_names()
    form = AdjustmentFilterForm(request.GET, names=names)
    # An address typed by hand may name what does not exist: such a filter is left out, the rest holds.
    form.is_valid()
    filters = AdjustmentFilters(
        state=form.cleaned_data.get("state", ""), reason=form.cleaned_data.get("reason", "")
    )
    page = page_adjustments(
        filters, after=request.GET.get("after", ""), before=request.GET.get("before", "")
    )
    context = {
        "form": form,
        "page": page,
        "rows": [(row, names.get(row.reason, row.reason)) for row in page.rows],
        "any_adjustments": bool(page.rows) or has_adjustments(),
    }
    return render_page(request, "ledger/adjustment_list.html", context, partial="adjustments")


@merchant_view("ledger.view")
@require_safe
def adjustment_detail(request: MerchantRequest, adjustment_id: int) -> HttpResponse:
    """An adjustment: its lines, who asked, who confirmed, its entry, what undoes it."""
    adjustment = adjustment_or_404(adjustment_id)
    waiting = adjustment.state == AdjustmentState.WAITING
    may_adjust = ADJUST_PERMISSION in request.permissions
    decisions = decisions_of(adjustment.approval_id) if adjustment.approval_id else []
    may_decide = (
        waiting
        and may_adjust
        and adjustment.requested_by_id != request.member.pk
        and all(row.member_id != request.member.pk for row in decisions)
    )
    approvers: list[str] = []
    if waiting and not may_decide and adjustment.requested_by_id is not None:
        members = members_who_may(
            permission=ADJUST_PERMISSION, store_id=None, besides=adjustment.requested_by_id
        )
        approvers = [member.user.display_name for member in members]
    posted = adjustment.state == AdjustmentState.POSTED
    reversal = reversal_of(adjustment) if posted else None
    subject = (adjustment.subject_kind, adjustment.subject_id)
    link = links_of([subject], slug=request.merchant.slug).get(subject) if subject[0] else None
    context = {
        "adjustment": adjustment,
        "reason": reason_words(adjustment.reason),
        "papers": papers_of(adjustment),
        "lines": lines_of(adjustment),
        "day": clock.business_date(adjustment.at, request.merchant.day_starts_at),
        "decisions": decisions,
        "waiting": waiting,
        "posted": posted,
        "ending": (
            ending_words(adjustment) if adjustment.state == AdjustmentState.CANCELLED else ""
        ),
        "reversal": reversal,
        "subject": kind_words(subject[0]) if subject[0] else "",
        "link": link,
        "approvers": approvers,
        "may_decide": may_decide,
        "may_withdraw": waiting and may_adjust and adjustment.approval_id is not None,
        "may_reverse": posted and may_adjust and reversal is None and not adjustment.reverses_id,
    }
    return render_page(request, "ledger/adjustment_detail.html", context)


@merchant_view("ledger.view")
@require_safe
def paper_download(request: MerchantRequest, adjustment_id: int, paper_id: int) -> HttpResponseBase:
    """A paper of an adjustment, byte for byte as it was handed in."""
    adjustment = adjustment_or_404(adjustment_id)
    try:
        paper, pieces = read_paper(
            adjustment_id=adjustment.pk, paper_id=paper_id, actor=request.actor(), now=clock.now()
        )
    except AdjustmentPaper.DoesNotExist as error:
        raise Http404 from error
    except CannotOpen:
        messages.error(
            request,
            _("This file cannot be decrypted: the key that sealed it is not in use any more."),
        )
        return redirect("ledger:adjustment_detail", request.merchant.slug, adjustment.pk)
    return as_file(pieces, name=paper.filename, size=paper.byte_count)
