"""Confirmations: what waits for whom, and the one screen on which a member decides."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

from allauth.account.authentication import get_authentication_records
from allauth.mfa.models import Authenticator
from allauth.mfa.utils import is_mfa_enabled
from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.http import require_http_methods, require_safe

from apps.approvals.forms import DecisionForm
from apps.approvals.models import Approval, ApprovalState, Decision, NoticeStep
from apps.approvals.selectors import (
    Voice,
    cooling_hours_for,
    deciders,
    decisions_of,
    get_approval,
    notices_of,
    recently_decided,
    seen_through,
    terms_in_force,
    voice_of,
    waiting_for,
    waiting_for_others,
)
from apps.approvals.services import (
    NoCooling,
    NotAllowed,
    Stale,
    decide,
    start_cooling,
    withdraw,
)
from apps.approvals.subjects import NotNow, subject_for
from apps.core import clock
from apps.core.htmx import render_page
from apps.merchants.access import MerchantRequest, merchant_view

_NOT_ALLOWED: Final[dict[str, str | Promise]] = {
    "requester": gettext_lazy("You asked for this yourself: another member must decide."),
    "permission": gettext_lazy("Your role may not decide this."),
    "already_decided": gettext_lazy("You have already decided this."),
    "factor": gettext_lazy("Confirm with your second factor first."),
}
#: Why a decision came too late, by the state that it found.
_STALE: Final[dict[str, str | Promise]] = {
    ApprovalState.VOIDED: gettext_lazy(
        "It was withdrawn, or changed after you had opened it. It no longer counts, and no money moved."
    ),
    ApprovalState.EXPIRED: gettext_lazy(
        "Its time was over. No money moved; it can be asked again."
    ),
    ApprovalState.APPROVED: gettext_lazy("Somebody else had already confirmed it."),
    ApprovalState.REJECTED: gettext_lazy("Somebody else had already refused it."),
}


def second_factor_given(request: MerchantRequest, *, now: datetime) -> bool:
    """Whether this session proved a second factor within the time that allauth calls recent.

    A password typed again does not count: only records of the kind ``mfa`` (one-time code, passkey, recovery code).
    """
    since = now.timestamp() - settings.ACCOUNT_REAUTHENTICATION_TIMEOUT
    return any(
        record.get("method") == "mfa" and record.get("at", 0) > since
        for record in get_authentication_records(request, request.member)
    )


@dataclass(frozen=True, slots=True)
class Factor:
    """A member's second factor: whether there is one, whether it is asked for, and whether this session has just proved it."""

    exists: bool
    asked: bool
    given: bool

    @property
    def lacks(self) -> bool:
        """It is asked for and not proved."""
        return self.asked and not self.given


def _factor_of(request: MerchantRequest, *, now: datetime) -> Factor:
    exists = is_mfa_enabled(request.member)
    return Factor(
        exists=exists,
        asked=exists or terms_in_force(now).factor,
        given=exists and second_factor_given(request, now=now),
    )


def _step_up_url(request: MerchantRequest) -> str:
    """Where the member proves the second factor and is led back to this page: the passkey first where there is one."""
    has_passkey = is_mfa_enabled(request.member, types=[Authenticator.Type.WEBAUTHN])
    name = "mfa_reauthenticate_webauthn" if has_passkey else "mfa_reauthenticate"
    return f"{reverse(name)}?{urlencode({'next': request.path})}"


def _ending(approval: Approval) -> str:
    """Why it ended without a decision; "" where its state says it all."""
    if approval.state not in {ApprovalState.VOIDED, ApprovalState.EXPIRED}:
        return ""
    return subject_for(approval.subject_kind).endings([approval]).get(approval.pk, "")


def _endings(approvals: list[Approval]) -> dict[int, str]:
    """The same of many, by id; one query a kind."""
    by_kind: dict[str, list[Approval]] = {}
    for approval in approvals:
        if approval.state in {ApprovalState.VOIDED, ApprovalState.EXPIRED}:
            by_kind.setdefault(approval.subject_kind, []).append(approval)
    return {
        pk: words
        for kind, ended in by_kind.items()
        for pk, words in subject_for(kind).endings(ended).items()
    }


def decider_words(decision: Decision) -> str:
    """Who decided, and in whose place."""
    name = decision.member.display_name
    if decision.on_behalf_of is None:
        return name
    return _("%(name)s for %(giver)s") % {
        "name": name,
        "giver": decision.on_behalf_of.display_name,
    }


def _row(approval: Approval, decisions: list[Decision], ending: str = "") -> dict[str, Any]:
    return {
        "approval": approval,
        "label": subject_for(approval.subject_kind).label,
        "amount_minor": approval.summary.get("amount_minor"),
        "reason": approval.summary.get("reason", ""),
        "number": approval.summary.get("order_no", ""),
        "deciders": ", ".join(decider_words(row) for row in decisions),
        "ending": ending,
    }


@merchant_view("dashboard.view")
@require_safe
def approval_list(request: MerchantRequest) -> HttpResponse:
    """What waits for the member, what waits for others, what was decided lately."""
    who: dict[str, Any] = {
        "member": request.member,
        "permissions": request.permissions,
        "now": clock.now(),
    }
    decided = list(recently_decided(**who))
    endings = _endings(decided)
    context = {
        "mine": [_row(row, []) for row in waiting_for(**who).select_related("requested_by")],
        "others": [_row(row, []) for row in waiting_for_others(**who)],
        # Their decisions are loaded together with them.
        "decided": [
            _row(row, list(row.decisions.all()), endings.get(row.pk, "")) for row in decided
        ],
    }
    return render_page(request, "approvals/approval_list.html", context, partial="approvals")


def _decided(
    request: MerchantRequest, approval: Approval, form: DecisionForm, *, second_factor: bool
) -> None:
    """Carry out a valid form and say what came of it."""
    approved = form.cleaned_data["decision"] == "approve"
    try:
        after = decide(
            approval_id=approval.pk,
            member=request.member,
            permissions=request.permissions,
            approved=approved,
            digest=bytes.fromhex(form.cleaned_data["digest"]),
            reason=form.cleaned_data["reason"],
            second_factor=second_factor,
            actor=request.actor(),
            now=clock.now(),
        )
    except NotAllowed as refused:
        messages.error(request, str(_NOT_ALLOWED[refused.reason]))
        return
    except NotNow as refused:
        messages.warning(request, refused.words)
        return
    except Stale:
        approval.refresh_from_db(fields=["state"])
        words = _STALE.get(approval.state, _STALE[ApprovalState.VOIDED])
        messages.warning(request, _ending(approval) or str(words))
        return
    if not approved:
        messages.success(request, _("Refused. The person who asked sees your reason."))
    elif after.state == ApprovalState.PENDING:
        given = sum(row.approved for row in decisions_of(approval.pk))
        more = after.needed - given
        messages.success(
            request,
            ngettext(
                "Your confirmation counts. %(count)d more is needed.",
                "Your confirmation counts. %(count)d more are needed.",
                more,
            )
            % {"count": more},
        )
    else:
        messages.success(request, _("Confirmed. It is carried out now."))


def _cooled(
    request: MerchantRequest, approval: Approval, digest: str, *, second_factor: bool
) -> None:
    """Begin the delay of a shop of one person and say what comes of it."""
    try:
        start_cooling(
            approval_id=approval.pk,
            member=request.member,
            digest=bytes.fromhex(digest),
            second_factor=second_factor,
            actor=request.actor(),
            now=clock.now(),
        )
    except NotAllowed as refused:
        words = _NOT_ALLOWED["factor" if refused.reason == "factor" else "permission"]
        messages.error(request, str(words))
    except NoCooling:
        messages.warning(
            request, _("It cannot be carried out by itself: another member must confirm it.")
        )
    except Stale:
        messages.warning(request, str(_STALE[ApprovalState.VOIDED]))
    else:
        messages.success(request, _("The delay has begun. You can cancel until it is over."))


def _taken_back(request: MerchantRequest, approval: Approval) -> None:
    try:
        withdraw(
            approval_id=approval.pk,
            member=request.member,
            actor=request.actor(),
            now=clock.now(),
        )
    except NotAllowed:
        messages.error(request, _("Only who asked can take it back."))
    except Stale:
        messages.warning(request, _("It was over already."))
    else:
        messages.success(request, _("Taken back. Nothing is carried out."))


def _act(
    request: MerchantRequest, approval: Approval, form: DecisionForm, *, factor: Factor
) -> None:
    """Carry out what a valid form says."""
    wish = form.cleaned_data["decision"]
    if wish == "withdraw":
        _taken_back(request, approval)
    elif wish in {"approve", "cool"} and factor.lacks:
        messages.info(request, str(_NOT_ALLOWED["factor"]))
    elif wish == "cool":
        _cooled(request, approval, form.cleaned_data["digest"], second_factor=factor.given)
    else:
        _decided(request, approval, form, second_factor=factor.given)


@merchant_view("dashboard.view")
@require_http_methods(["GET", "HEAD", "POST"])
def approval_detail(request: MerchantRequest, approval_id: int) -> HttpResponse:
    """Who asks what and why, and the decision. Members with a second factor prove it before they confirm.

    The proof is asked for on the way to the button, by a link, so that no posted form is lost in between.
    """
    now = clock.now()
    approval = get_approval(approval_id)
    if approval is None:
        raise Http404
    factor = _factor_of(request, now=now)
    form = DecisionForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        _act(request, approval, form, factor=factor)
        return redirect("approvals:approval_detail", request.merchant.slug, approval.pk)
    context = {**_shown(request, approval, now=now, factor=factor), "form": form}
    status = 422 if form.errors else 200
    return render(request, "approvals/approval_detail.html", context, status=status)


def _shown(
    request: MerchantRequest, approval: Approval, *, now: datetime, factor: Factor
) -> dict[str, Any]:
    subject = subject_for(approval.subject_kind)
    # The digest is read first: were the subject changed in between, the page would show the newer words and the
    # decision on the older digest would be refused, never the reverse.
    digest = subject.digest(approval.subject_id).hex()
    decisions = decisions_of(approval.pk)
    is_requester = approval.requested_by_id == request.member.pk
    pending = approval.state == ApprovalState.PENDING
    overdue = pending and now >= approval.expires_at
    voice: Voice | None = voice_of(approval, member=request.member, now=now) if pending else None
    by_room = approval.permission in seen_through(request.permissions)
    may_see = is_requester or by_room or voice is not None
    members = []
    if pending and voice is None:
        members = deciders(
            permission=approval.permission,
            store_id=approval.store_id,
            besides=approval.requested_by_id,
            now=now,
        )
    spoken = {row.member_id for row in decisions}
    hours = cooling_hours_for(approval, now=now) if is_requester and not members else 0
    told = {row.step: row.at for row in notices_of(approval.pk)} if pending else {}
    acts = voice is not None or (hours > 0 and approval.cools_until is None)
    return {
        "approval": approval,
        "description": subject.describe(approval, slug=request.merchant.slug) if may_see else None,
        "has_page": is_requester or by_room,
        "label": subject.label,
        "digest": digest,
        "seal": f"{digest[:4]} {digest[4:8]} {digest[8:12]}".upper(),
        "changed": pending and digest != bytes(approval.digest).hex(),
        "decisions": [(row, decider_words(row)) for row in decisions],
        "ending": _ending(approval) if may_see else "",
        "pending": pending,
        "overdue": overdue,
        "is_requester": is_requester,
        "has_decided": request.member.pk in spoken,
        "may_decide": voice is not None and not overdue,
        "giver": voice.delegation.giver if voice and voice.delegation else None,
        "cooling_hours": hours if not overdue else 0,
        "cools": pending
        and approval.cools_until is not None
        and cooling_hours_for(approval, now=now) > 0,
        "minutes_left": max(0, int((approval.cools_until - now).total_seconds()) // 60)
        if approval.cools_until
        else 0,
        "reminded_at": told.get(NoticeStep.REMIND),
        "escalated_at": told.get(NoticeStep.ESCALATE),
        "needs_factor": factor.asked,
        "has_factor": factor.given,
        "lacks_factor": factor.lacks or (hours > 0 and not factor.given),
        "step_up_url": _step_up_url(request) if acts and factor.exists else "",
        "others": [member.user.display_name for member in members if member.user_id not in spoken],
    }
