"""Refunds once asked for: the list, one refund, withdrawing it, asking the platform."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.approvals.selectors import decisions_of, members_who_may
from apps.core import clock
from apps.core.htmx import render_page, wants_fragment
from apps.core.names import named
from apps.core.templatetags.portal import china_time
from apps.merchants.access import MerchantRequest, merchant_view
from apps.merchants.selectors import list_stores
from apps.refunds.forms import RefundFilterForm
from apps.refunds.models import RESERVING, UNDER_WAY, Refund, RefundState
from apps.refunds.path import abnormal_steps, path_of
from apps.refunds.rulefacts import ANY_APPROVER
from apps.refunds.selectors import (
    RefundFilters,
    answer_of,
    batch_of,
    get_refund,
    has_refunds,
    next_send_at,
    page_refunds,
    requests_open,
    rule_of,
)
from apps.refunds.services import NotRefundable, cancel_refund, refresh_refund


def _refund_or_404(refund_id: int) -> Refund:
    refund = get_refund(refund_id)
    if refund is None:
        raise Http404
    return refund


@merchant_view("refunds.view")
@require_safe
def refund_list(request: MerchantRequest) -> HttpResponse:
    """The refunds of the stores that the member reaches."""
    stores = list(list_stores())
    form = RefundFilterForm(request.GET, stores=stores)
    # An address typed by hand may name what does not exist: such a filter is left out, the rest holds.
    form.is_valid()
    filters = RefundFilters(
        state=form.cleaned_data.get("state", ""), store_id=form.cleaned_data.get("store")
    )
    page = page_refunds(
        filters, after=request.GET.get("after", ""), before=request.GET.get("before", "")
    )
    chips = []
    for field in form:
        value = form.cleaned_data.get(field.name)
        if value in ("", None):
            continue
        rest = request.GET.copy()
        for key in (field.name, "after", "before"):
            rest.pop(key, None)
        words = dict(getattr(field.field, "choices", ())).get(value, value)
        chips.append({"name": field.label, "value": words, "remove_url": f"?{rest.urlencode()}"})
    context = {
        "form": form,
        "page": page,
        "chips": chips,
        "any_refunds": bool(page.rows) or has_refunds(),
        "many_stores": len(stores) > 1,
        "open_requests": 0 if wants_fragment(request) else requests_open().count(),
        # Only the newest page changes by itself: what stands on older ones would slide away under the reader.
        "live": not (request.GET.get("after") or request.GET.get("before")),
    }
    return render_page(request, "refunds/refund_list.html", context, partial="refunds")


def _next_words(refund: Refund) -> str:
    """When a refund goes to the platform that has to wait for it; "" for one that waits for nothing."""
    at, now = next_send_at(refund), clock.now()
    if at is None or at <= now:
        return ""
    words = {"time": china_time(at, "minutes")}
    if refund.state == RefundState.QUEUED:
        return (
            _(
                "It is sent again by itself at %(time)s, under the same number. Put money into the balance at the platform before; you need not ask again."
            )
            % words
        )
    return (
        _("It is sent at %(time)s: the platform wants a while between two refunds of one payment.")
        % words
    )


@merchant_view("refunds.view")
@require_safe
def refund_detail(request: MerchantRequest, refund_id: int) -> HttpResponse:
    """A refund: amount and state, what can be done, its path, its facts."""
    refund = _refund_or_404(refund_id)
    may_request = "refunds.request" in request.permissions
    decisions = decisions_of(refund.approval_id) if refund.approval_id else []
    waiting = refund.state == RefundState.WAITING
    under_way = refund.state in UNDER_WAY
    permission = refund.approval.permission if refund.approval else ANY_APPROVER
    may_decide = (
        waiting
        and permission in request.permissions
        and refund.requested_by_id != request.member.pk
        and all(row.member_id != request.member.pk for row in decisions)
    )
    approvers = []
    if waiting and not may_decide and refund.requested_by_id is not None:
        members = members_who_may(
            permission=permission,
            store_id=refund.store_id,
            besides=refund.requested_by_id,
        )
        approvers = [member.user.display_name for member in members]
    context = {
        "refund": refund,
        "payment": refund.payment,
        "path": path_of(refund, decisions=decisions, rule=rule_of(refund)),
        "answer": answer_of(refund),
        "next_words": _next_words(refund),
        "steps": abnormal_steps(refund),
        "batch": batch_of(refund.pk),
        "waiting": waiting,
        "live": waiting or under_way,
        "may_decide": may_decide,
        "approvers": approvers,
        "may_cancel": waiting and refund.approval_id is not None and may_request,
        "may_ask": under_way and refund.sent_at is not None and may_request,
        "may_rule": refund.rule_version is not None and "rules.manage" in request.permissions,
        "may_again": refund.state not in RESERVING and may_request,
    }
    return render_page(request, "refunds/refund_detail.html", context, partial="refund")


@merchant_view("refunds.request")
@require_http_methods(["GET", "HEAD", "POST"])
def refund_cancel(request: MerchantRequest, refund_id: int) -> HttpResponse:
    """Confirm that a refund which still waits is withdrawn."""
    refund = _refund_or_404(refund_id)
    detail = redirect("refunds:refund_detail", request.merchant.slug, refund.pk)
    if request.method != "POST" and refund.state == RefundState.WAITING:
        context = {
            "refund": refund,
            "facts": [
                (_("Store"), named(refund.store) if refund.store else _("No store")),
                (_("Payment number"), refund.payment.order_no),
                (_("Reason"), refund.shown_reason),
            ],
        }
        return render(request, "refunds/refund_cancel.html", context)
    try:
        if request.method != "POST":
            raise NotRefundable("not_waiting")
        cancel_refund(refund_id=refund.pk, actor=request.actor(), now=clock.now())
    except NotRefundable:
        messages.info(request, _("This refund no longer waits, so it cannot be withdrawn."))
    else:
        messages.success(request, _("The refund is withdrawn. No money moved."))
    return detail


@merchant_view("refunds.request")
@require_POST
def refund_ask(request: MerchantRequest, refund_id: int) -> HttpResponse:
    """Ask the platform how a refund stands."""
    refund = _refund_or_404(refund_id)
    before = refund.state
    after = refresh_refund(refund_id=refund.pk, now=clock.now()).state
    if after == before:
        messages.info(request, _("The platform was asked. Nothing has changed yet."))
    else:
        messages.success(request, _("The platform was asked, and this is how it stands now."))
    return redirect("refunds:refund_detail", request.merchant.slug, refund.pk)
