"""What needs somebody, one difference with its story, and doing something about it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.approvals.selectors import members_who_may
from apps.core import clock, keyset
from apps.core.htmx import render_page
from apps.core.templatetags.portal import china_time
from apps.ledger.models import Purpose
from apps.merchants.access import MerchantRequest, merchant_view
from apps.platforms.selectors import list_accounts
from apps.reconciliation import acts, selectors, services
from apps.reconciliation.forms import ActForm, CommentForm, OpenForm
from apps.reconciliation.models import (
    SETTLING,
    Difference,
    DifferenceState,
    DifferenceType,
    Resolution,
    ResolutionKind,
    ResolutionState,
)
from apps.reconciliation.selectors import Candidate, Offer
from apps.reconciliation.services import Act, CannotResolve
from apps.reconciliation.views.chips import chips_of
from apps.reconciliation.views.entries import difference_or_404, entry_of
from apps.reconciliation.wording import EXPLANATIONS


def open_filter(form: OpenForm, now: datetime) -> selectors.OpenFilter:
    """What the form asks for; a value typed by hand that does not exist asks for nothing."""
    form.is_valid()
    given = form.cleaned_data
    return selectors.OpenFilter(
        type=given.get("type") or "",
        account_id=given.get("account"),
        owner_id=given.get("owner"),
        seen_before=now - timedelta(days=given["age"]) if given.get("age") else None,
    )


@merchant_view("reconciliation.view")
@require_safe
def difference_list(request: MerchantRequest) -> HttpResponse:
    """Open differences of all days and accounts."""
    now = clock.now()
    accounts = list(list_accounts().defer("credentials_sealed"))
    form = OpenForm(request.GET, accounts=accounts, owners=selectors.possible_owners())
    chosen = open_filter(form, now)
    counts = selectors.open_counts(chosen)
    page = selectors.open_differences(
        chosen,
        after=keyset.decode_id(request.GET.get("after", "")),
        before=keyset.decode_id(request.GET.get("before", "")),
    )
    context: dict[str, Any] = {
        "form": form,
        "chips": chips_of(request, form),
        "is_narrow": chosen != selectors.OpenFilter(),
        "counts": [{"sum": each, "words": EXPLANATIONS[each.type]} for each in counts],
        "total": sum(each.count for each in counts),
        "rest": sum(each.rest_minor for each in counts),
        "page": page,
        "entries": [entry_of(row, now) for row in page.rows],
        "bulk_kinds": acts.BULK_KINDS,
    }
    return render_page(request, "reconciliation/difference_list.html", context, partial="rows")


def _may(request: MerchantRequest, difference: Difference, kind: str) -> bool:
    return selectors.permission_for(kind, difference.type) in request.permissions


@merchant_view("reconciliation.view")
@require_safe
def difference_detail(request: MerchantRequest, difference_id: int) -> HttpResponse:
    """One difference: both sides, what it means, what can be done, and its story."""
    difference = difference_or_404(difference_id)
    return render_page(
        request, "reconciliation/difference_detail.html", _detail(request, difference)
    )


def _detail(
    request: MerchantRequest, difference: Difference, comment: CommentForm | None = None
) -> dict[str, Any]:
    now = clock.now()
    history = selectors.history_of(difference)
    manages = selectors.MANAGE in request.permissions
    is_open = difference.state == DifferenceState.OPEN and difference.run.is_current
    offers = [
        {
            "offer": offer,
            "words": acts.ACT_WORDS[offer.kind],
            "consequence": acts.consequence(difference, offer),
            "refusal": acts.refusal_code_words(offer.refusal) if offer.refusal else "",
            "may": _may(request, difference, offer.kind),
        }
        for offer in (selectors.offers_of(difference, now=now) if is_open else [])
    ]
    settled = next(
        (
            each
            for each in reversed(history)
            if each.identity == difference.identity
            and each.kind in SETTLING
            and each.state in {ResolutionState.DONE, ResolutionState.WAITING}
        ),
        None,
    )
    why_not = services.why_not_undone(settled) if settled else ""
    return {
        "difference": difference,
        "run": difference.run,
        "entry": entry_of(difference, now),
        "words": EXPLANATIONS[DifferenceType(difference.type)],
        "offers": offers,
        "settled": settled,
        "settled_words": acts.event_of(settled) if settled else None,
        "may_undo": settled is not None and _may(request, difference, settled.kind),
        "why_not_undone": acts.refusal_code_words(why_not, {"day": services.day_of(settled)})
        if settled and why_not
        else "",
        "successor": selectors.successor_of(difference),
        "events": acts.events_of(history),
        "manages": manages,
        "comment_form": comment or CommentForm(),
        "owners": selectors.possible_owners() if manages else [],
        "now": now,
    }


def _target_words(candidate: Candidate) -> str:
    """One of ours that a bill row may be, on one line."""
    refund = candidate.refund
    payment = candidate.payment or (refund.payment if refund else None)
    at = refund.accepted_at if refund else payment.paid_at if payment else None
    number = refund.refund_no if refund else payment.order_no if payment else ""
    return f"{acts.money(candidate.minor)} · {china_time(at, 'text')} · {number}"


def _act_form(
    request: MerchantRequest, difference: Difference, kind: ResolutionKind, data: Any = None
) -> ActForm:
    targets: list[tuple[str, str]] = []
    if kind == ResolutionKind.LINK:
        targets = [(each.key, _target_words(each)) for each in selectors.candidates_for(difference)]
    asks_store = kind == ResolutionKind.ACCEPT and difference.type == DifferenceType.MISSING_HERE
    return ActForm(
        data,
        kind=kind,
        purpose=selectors.usual_purpose(difference),
        stores=selectors.stores_serving(difference.run.account) if asks_store else [],
        targets=targets,
    )


def _read_act(kind: ResolutionKind, given: dict[str, Any]) -> Act:
    target = given.get("target") or ""
    number = int(target[1:]) if target else None
    return Act(
        kind=kind,
        reason=(given.get("reason") or "").strip(),
        purpose=Purpose(given["purpose"]) if given.get("purpose") else None,
        store_id=given.get("store"),
        payment_id=number if target.startswith("p") else None,
        refund_id=number if target.startswith("r") else None,
    )


@merchant_view("reconciliation.manage")
@require_http_methods(["GET", "HEAD", "POST"])
def difference_act(request: MerchantRequest, difference_id: int) -> HttpResponse:
    """What one kind of act would do, and doing it. ``kind`` names it."""
    difference = difference_or_404(difference_id)
    detail = redirect("reconciliation:difference_detail", request.merchant.slug, difference.pk)
    given = request.POST if request.method == "POST" else request.GET
    offer = selectors.offer_of(difference, given.get("kind", ""), now=clock.now())
    if offer is None:
        return detail
    if not _may(request, difference, offer.kind):
        raise PermissionDenied(offer.kind)
    if offer.refusal:
        messages.error(request, acts.refusal_code_words(offer.refusal))
        return detail
    form = _act_form(
        request, difference, offer.kind, request.POST if request.method == "POST" else None
    )
    if request.method == "POST" and form.is_valid():
        try:
            made = services.resolve_difference(
                difference_id=difference.pk,
                act=_read_act(offer.kind, form.cleaned_data),
                member=request.member,
                actor=request.actor(),
                now=clock.now(),
            )
        except CannotResolve as error:
            messages.error(request, acts.refusal_words(error))
        else:
            messages.success(request, done_words(made))
        return detail
    return render(
        request,
        "reconciliation/difference_act.html",
        _act_context(request, difference, offer, form),
        status=422 if request.method == "POST" else 200,
    )


def _act_context(
    request: MerchantRequest, difference: Difference, offer: Offer, form: ActForm
) -> dict[str, Any]:
    nobody_else = offer.waits and not members_who_may(
        permission="ledger.adjust", store_id=None, besides=request.member.pk
    )
    return {
        "difference": difference,
        "offer": offer,
        "words": acts.ACT_WORDS[offer.kind],
        "consequence": acts.consequence(difference, offer),
        "form": form,
        "nobody_else": nobody_else,
        "no_targets": "target" in form.fields and not form.fields["target"].choices,  # type: ignore[attr-defined]  # a choice field
    }


def done_words(made: Resolution) -> str:
    """What came of an act."""
    if made.state == ResolutionState.WAITING:
        return _("Asked for. Another member must confirm before it is posted.")
    if made.kind == ResolutionKind.KEEP:
        return _("Noted. It no longer counts as open; the amounts stay as they are.")
    if made.kind == ResolutionKind.LINK:
        return _("Linked. The day is matched again by itself.")
    if made.adjustment_id is not None:
        return _("Booked. It can be undone until the business day is closed.")
    return _("Your books now say what the bill says. The day is matched again by itself.")


@merchant_view("reconciliation.manage")
@require_POST
def difference_comment(request: MerchantRequest, difference_id: int) -> HttpResponse:
    """A word for the others."""
    difference = difference_or_404(difference_id)
    form = CommentForm(request.POST)
    if not form.is_valid():
        context = _detail(request, difference, comment=form)
        return render(request, "reconciliation/difference_detail.html", context, status=422)
    try:
        services.comment_difference(
            difference_id=difference.pk,
            text=form.cleaned_data["text"],
            member=request.member,
            actor=request.actor(),
            now=clock.now(),
        )
    except CannotResolve as error:
        messages.error(request, acts.refusal_words(error))
    return redirect("reconciliation:difference_detail", request.merchant.slug, difference.pk)


@merchant_view("reconciliation.manage")
@require_POST
def difference_assign(request: MerchantRequest, difference_id: int) -> HttpResponse:
    """Give it to a member, or to nobody."""
    difference = difference_or_404(difference_id)
    form = ActForm(request.POST, kind=ResolutionKind.ASSIGN, owners=selectors.possible_owners())
    if not form.is_valid():
        messages.error(request, acts.refusal_code_words("no_member"))
        return redirect("reconciliation:difference_detail", request.merchant.slug, difference.pk)
    try:
        made = services.assign_difference(
            difference_id=difference.pk,
            owner_id=form.cleaned_data["assignee"],
            member=request.member,
            actor=request.actor(),
            now=clock.now(),
        )
    except CannotResolve as error:
        messages.error(request, acts.refusal_words(error))
    else:
        name = made.assignee.display_name if made.assignee else ""
        messages.success(
            request,
            _("%(name)s looks after it now.") % {"name": name}
            if name
            else _("Nobody looks after it now."),
        )
    return redirect("reconciliation:difference_detail", request.merchant.slug, difference.pk)


@merchant_view("reconciliation.manage")
@require_http_methods(["GET", "HEAD", "POST"])
def resolution_undo(request: MerchantRequest, resolution_id: int) -> HttpResponse:
    """Confirm that something is taken back, and take it back."""
    try:
        resolution = selectors.get_resolution(resolution_id)
    except Resolution.DoesNotExist as error:
        raise Http404 from error
    if selectors.permission_for(resolution.kind, resolution.type) not in request.permissions:
        raise PermissionDenied(resolution.kind)
    detail = redirect(
        "reconciliation:difference_detail", request.merchant.slug, resolution.difference_id
    )
    refusal = services.why_not_undone(resolution)
    if request.method != "POST" and not refusal:
        context = {"resolution": resolution, "words": acts.event_of(resolution)}
        return render(request, "reconciliation/resolution_undo.html", context)
    try:
        made = services.undo_resolution(
            resolution_id=resolution.pk,
            member=request.member,
            actor=request.actor(),
            now=clock.now(),
        )
    except CannotResolve as error:
        messages.error(request, acts.refusal_words(error))
    else:
        waits = made.state in {ResolutionState.DONE, ResolutionState.SUPERSEDED}
        messages.success(
            request,
            _("Asked for. Another member must confirm before it is undone.")
            if waits
            else _("Undone. The difference is open again.")
            if selectors.is_current(resolution.difference_id)
            else _("Undone. The day is matched again by itself, and finds the difference anew."),
        )
    return detail
