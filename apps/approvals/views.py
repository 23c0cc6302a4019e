"""Confirmations: what waits for whom, and the one screen on which a member decides."""

from __future__ import annotations

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
from apps.approvals.models import Approval, ApprovalState, Decision
from apps.approvals.selectors import (
    decisions_of,
    get_approval,
    members_who_may,
    recently_decided,
    seen_through,
    waiting_for,
    waiting_for_others,
)
from apps.approvals.services import NotAllowed, Stale, decide
from apps.approvals.subjects import NotNow, subject_for
from apps.core import clock
from apps.core.htmx import render_page
from apps.merchants.access import MerchantRequest, merchant_view

_NOT_ALLOWED: Final[dict[str, str | Promise]] = {
    "requester": gettext_lazy("You asked for this yourself: another member must decide."),
    "permission": gettext_lazy("Your role may not decide this."),
    "already_decided": gettext_lazy("You have already decided this."),
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


def _row(approval: Approval, decisions: list[Decision], ending: str = "") -> dict[str, Any]:
    return {
        "approval": approval,
        "label": subject_for(approval.subject_kind).label,
        "amount_minor": approval.summary.get("amount_minor"),
        "reason": approval.summary.get("reason", ""),
        "number": approval.summary.get("order_no", ""),
        "deciders": ", ".join(row.member.display_name for row in decisions),
        "ending": ending,
    }


@merchant_view("dashboard.view")
@require_safe
def approval_list(request: MerchantRequest) -> HttpResponse:
    """What waits for the member, what waits for others, what was decided lately."""
    who: dict[str, Any] = {"member": request.member, "permissions": request.permissions}
    decided = list(recently_decided(**who, now=clock.now()))
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
    needs_factor = is_mfa_enabled(request.member)
    has_factor = needs_factor and second_factor_given(request, now=now)
    form = DecisionForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        approves = form.cleaned_data["decision"] == "approve"
        if approves and needs_factor and not has_factor:
            messages.info(request, _("Confirm with your second factor first."))
        else:
            _decided(request, approval, form, second_factor=has_factor)
        return redirect("approvals:approval_detail", request.merchant.slug, approval.pk)

    subject = subject_for(approval.subject_kind)
    # The digest is read first: were the subject changed in between, the page would show the newer words and the
    # decision on the older digest would be refused, never the reverse.
    digest = subject.digest(approval.subject_id).hex()
    decisions = decisions_of(approval.pk)
    is_requester = approval.requested_by_id == request.member.pk
    pending = approval.state == ApprovalState.PENDING
    has_decided = any(row.member_id == request.member.pk for row in decisions)
    holds = approval.permission in request.permissions
    may_decide = pending and holds and not is_requester and not has_decided
    may_see = is_requester or approval.permission in seen_through(request.permissions)
    members = []
    if pending and not may_decide:
        members = members_who_may(
            permission=approval.permission,
            store_id=approval.store_id,
            besides=approval.requested_by_id,
        )
    spoken = {row.member_id for row in decisions}
    context = {
        "approval": approval,
        "description": subject.describe(approval, slug=request.merchant.slug) if may_see else None,
        "label": subject.label,
        "digest": digest,
        "changed": pending and digest != bytes(approval.digest).hex(),
        "decisions": decisions,
        "ending": _ending(approval) if may_see else "",
        "pending": pending,
        "overdue": pending and now >= approval.expires_at,
        "is_requester": is_requester,
        "has_decided": has_decided,
        "may_decide": may_decide,
        "needs_factor": needs_factor,
        "has_factor": has_factor,
        "step_up_url": _step_up_url(request) if may_decide and needs_factor else "",
        "others": [member.user.display_name for member in members if member.user_id not in spoken],
        "form": form,
    }
    status = 422 if form.errors else 200
    return render(request, "approvals/approval_detail.html", context, status=status)
