"""How confirmations run, and who stands in for whom."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST

from apps.approvals.forms.terms import DelegationForm, TermsForm, hours_words
from apps.approvals.models import Delegation
from apps.approvals.selectors import (
    list_delegations,
    newest_terms,
    possible_stand_ins,
    terms_in_force,
    terms_of,
)
from apps.approvals.services import (
    NotDelegated,
    TermsChanged,
    change_terms,
    delegate,
    end_delegation,
)
from apps.approvals.terms import Terms
from apps.core import clock
from apps.merchants.access import MerchantRequest, merchant_view
from apps.merchants.models import Role

_NOT_DELEGATED: Final[dict[str, str | Promise]] = {
    "giver": gettext_lazy("Your role confirms nothing, so there is nothing to hand on."),
    "receiver": gettext_lazy("This member can no longer stand in. Choose another."),
    "period": gettext_lazy("These days cannot be chosen. Look at them again."),
    "twice": gettext_lazy("This member already confirms in your place on some of these days."),
}


def sentences(terms: Terms) -> list[str]:
    """What the terms mean, a sentence each."""
    said = [
        _("A request that nobody answers expires after %(time)s; nothing is carried out then.")
        % {"time": hours_words(terms.expire_hours)},
        _("Those who may confirm are reminded after %(time)s.")
        % {"time": hours_words(terms.remind_hours)}
        if terms.remind_hours
        else _("Nobody is reminded."),
        _("Owners and managers are told after %(time)s that nobody has confirmed.")
        % {"time": hours_words(terms.escalate_hours)}
        if terms.escalate_hours
        else _("Owners and managers are not told that nobody has confirmed."),
        _(
            "Where nobody else may confirm, who asked can have it carried out after %(time)s, and cancel until then."
        )
        % {"time": hours_words(terms.cooling_hours)}
        if terms.cooling_hours
        else _("Nothing that needs a confirmation is carried out without a second person."),
        _("New keys of a platform account need a second owner or manager, where there is one.")
        if terms.credentials
        else _("New keys of a platform account hold at once, without a second person."),
        _("Nobody confirms without a second factor.")
        if terms.factor
        else _("Members with a second factor prove it before they confirm; others need none."),
    ]
    return [str(one) for one in said]


@merchant_view("merchant.manage")
@require_http_methods(["GET", "HEAD", "POST"])
def terms(request: MerchantRequest) -> HttpResponse:
    """What holds, what is about to hold, and the form that changes it."""
    now = clock.now()
    newest = newest_terms()
    today, wanted = terms_in_force(now), terms_of(newest)
    form = TermsForm(request.POST or None, terms=wanted, seen=newest.number if newest else 0)
    if request.method == "POST" and form.is_valid():
        try:
            row = change_terms(
                terms=form.terms(),
                seen=form.cleaned_data["seen"],
                member=request.member,
                actor=request.actor(),
                now=now,
            )
        except TermsChanged:
            form.add_error(
                None, _("Somebody changed this meanwhile. Open the page again and look at it.")
            )
        else:
            _say(request, row.effective_at if row else None, now)
            return redirect("approvals:terms", request.merchant.slug)
    planned = newest if newest is not None and newest.effective_at > now else None
    before = sentences(today)
    context = {
        "form": form,
        "sentences": before,
        "planned": planned,
        "coming": [one for one in sentences(wanted) if one not in before] if planned else [],
        "alone": len(possible_stand_ins(besides=request.member.pk)) == 0,
    }
    status = 422 if form.errors else 200
    return render(request, "approvals/terms.html", context, status=status)


def _say(request: MerchantRequest, effective_at: datetime | None, now: datetime) -> None:
    if effective_at is None:
        messages.info(request, _("Nothing was changed."))
    elif effective_at > now:
        messages.warning(
            request,
            _(
                "Saved. What makes confirming easier holds from tomorrow on; the owners are told now."
            ),
        )
    else:
        messages.success(request, _("Saved. It holds from now on."))


@merchant_view("refunds.approve")
@require_http_methods(["GET", "HEAD", "POST"])
def delegation_list(request: MerchantRequest) -> HttpResponse:
    """Who confirms in whose place, and the form to hand on one's own right."""
    now = clock.now()
    members = possible_stand_ins(besides=request.member.pk)
    form = DelegationForm(request.POST or None, members=members, today=clock.business_date(now))
    if request.method == "POST" and form.is_valid():
        starts_at, ends_at = form.period()
        try:
            row = delegate(
                giver=request.member,
                receiver_id=form.cleaned_data["receiver"],
                starts_at=starts_at,
                ends_at=ends_at,
                reason=form.cleaned_data["reason"],
                actor=request.actor(),
                now=now,
            )
        except NotDelegated as refused:
            form.add_error(None, str(_NOT_DELEGATED[refused.reason]))
        else:
            messages.success(
                request,
                _("%(name)s can confirm in your place.") % {"name": row.receiver.display_name},
            )
            return redirect("approvals:delegation_list", request.merchant.slug)
    is_owner = request.membership.role == Role.OWNER
    context = {
        "form": form,
        "has_members": bool(members),
        "rows": [
            {
                "row": row,
                "over": row.ended_at is not None or row.ends_at <= now,
                "ahead": row.starts_at > now,
                "may_end": row.ended_at is None
                and row.ends_at > now
                and (is_owner or request.member.pk in {row.giver_id, row.receiver_id}),
            }
            for row in list_delegations(now=now)
        ],
    }
    status = 422 if form.errors else 200
    return render(request, "approvals/delegation_list.html", context, status=status)


@merchant_view("refunds.approve")
@require_POST
def delegation_end(request: MerchantRequest, delegation_id: int) -> HttpResponse:
    """End a delegation now."""
    try:
        ended = end_delegation(
            delegation_id=delegation_id,
            member=request.member,
            actor=request.actor(),
            now=clock.now(),
        )
    except Delegation.DoesNotExist as error:
        raise Http404 from error
    if ended:
        messages.success(request, _("Ended. Nothing can be confirmed by it any more."))
    return redirect("approvals:delegation_list", request.merchant.slug)
