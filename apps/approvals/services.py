"""Asking for a confirmation and giving it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.urls import reverse
from django.utils.translation import gettext

from apps.accounts.models import User
from apps.approvals.models import Approval, ApprovalState, Decision
from apps.approvals.selectors import get_approval, members_who_may
from apps.approvals.subjects import subject_for
from apps.core import audit, live, outbox
from apps.core.audit import Actor
from apps.core.mail import send_in_every_language
from apps.core.names import named
from apps.merchants.models import Merchant

#: How long a request waits before it expires and what it reserved is released.
LIFETIME = timedelta(days=3)


class NotAllowed(Exception):
    """This member may not decide: the requester, without the permission, or a second time.

    ``reason``: ``"requester"``, ``"permission"`` or ``"already_decided"``.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Stale(Exception):
    """The approval is no longer pending, or what it confirms was changed or lapsed meanwhile (it is void then)."""


def request_approval(
    *,
    subject_kind: str,
    subject_id: int,
    store_id: int | None,
    summary: Mapping[str, Any],
    digest: bytes,
    permission: str,
    needed: int,
    requested_by: User,
    now: datetime,
) -> Approval:
    """Put a subject under four eyes, in the caller's transaction. The caller says how many and which permission."""
    approval = Approval.objects.create(
        subject_kind=subject_kind,
        subject_id=subject_id,
        store_id=store_id,
        summary=dict(summary),
        digest=digest,
        permission=permission,
        needed=needed,
        requested_by=requested_by,
        requested_at=now,
        expires_at=now + LIFETIME,
    )
    outbox.enqueue(
        task="approvals.expire",
        merchant_id=approval.merchant_id,
        subject_id=approval.pk,
        due_at=approval.expires_at,
    )
    outbox.enqueue(
        task="approvals.notify",
        merchant_id=approval.merchant_id,
        subject_id=approval.pk,
        due_at=now,
    )
    live.publish(
        kind="approval",
        subject_id=approval.pk,
        store_id=store_id,
        member_id=approval.requested_by_id,
    )
    return approval


def _end(
    approval: Approval, *, state: ApprovalState, reason: str, actor: Actor, now: datetime
) -> None:
    approval.state = state
    approval.decided_at = now
    approval.save(update_fields=["state", "decided_at"])
    outbox.forget(task="approvals.expire", merchant_id=approval.merchant_id, subject_id=approval.pk)
    subject = subject_for(approval.subject_kind)
    if state == ApprovalState.APPROVED:
        subject.execute(approval, actor=actor, now=now)
    else:
        subject.void(approval, reason=reason, actor=actor, now=now)
    live.publish(
        kind="approval",
        subject_id=approval.pk,
        store_id=approval.store_id,
        member_id=approval.requested_by_id,
    )


def hold_approval(approval_id: int) -> Approval | None:
    """The approval with its row locked until the transaction ends, after what its subject holds; None where there is none.

    Whoever locks an approval does it here: the subject's locks first, then the approval, then the subject's own row.
    """
    asked = Approval.objects.filter(pk=approval_id).first()
    if asked is None:
        return None
    subject_for(asked.subject_kind).hold(asked.subject_id)
    found: Approval | None = Approval.objects.select_for_update().filter(pk=approval_id).first()
    return found


def _locked(approval_id: int) -> Approval:
    visible = Approval.objects.visible().filter(pk=approval_id).exists()
    approval = hold_approval(approval_id) if visible else None
    if approval is None or approval.state != ApprovalState.PENDING:
        raise Stale("no longer pending")
    return approval


def _decide(
    *,
    approval_id: int,
    member: User,
    permissions: frozenset[str],
    approved: bool,
    digest: bytes,
    reason: str,
    second_factor: bool,
    actor: Actor,
    now: datetime,
) -> Approval:
    approval = _locked(approval_id)
    if approval.requested_by_id == member.pk:
        raise NotAllowed("requester")
    if approval.permission not in permissions:
        raise NotAllowed("permission")
    if Decision.objects.filter(approval=approval, member=member).exists():
        raise NotAllowed("already_decided")
    subject = subject_for(approval.subject_kind)
    today = subject.digest(approval.subject_id)
    if now >= approval.expires_at:
        _end(approval, state=ApprovalState.EXPIRED, reason="expired", actor=actor, now=now)
        return approval
    if today != bytes(approval.digest) or digest != today:
        _end(approval, state=ApprovalState.VOIDED, reason="changed", actor=actor, now=now)
        return approval
    lapsed = subject.lapsed(approval.subject_id) if approved else ""
    if lapsed:
        _end(approval, state=ApprovalState.VOIDED, reason=lapsed, actor=actor, now=now)
        return approval
    Decision.objects.create(
        approval=approval,
        requested_by_id=approval.requested_by_id,
        member=member,
        approved=approved,
        digest=today,
        reason=reason,
        second_factor=second_factor,
        decided_at=now,
    )
    audit.record(
        action="approval.confirmed" if approved else "approval.refused",
        subject_kind="approval",
        subject_id=approval.pk,
        actor=actor,
        at=now,
        store_id=approval.store_id,
        data={
            "subject": f"{approval.subject_kind}:{approval.subject_id}",
            "reason": reason,
            "second_factor": second_factor,
        },
    )
    if not approved:
        _end(approval, state=ApprovalState.REJECTED, reason=reason, actor=actor, now=now)
    elif Decision.objects.filter(approval=approval, approved=True).count() >= approval.needed:
        _end(approval, state=ApprovalState.APPROVED, reason=reason, actor=actor, now=now)
    return approval


def decide(
    *,
    approval_id: int,
    member: User,
    permissions: frozenset[str],
    approved: bool,
    digest: bytes,
    reason: str,
    second_factor: bool,
    actor: Actor,
    now: datetime,
) -> Approval:
    """One member's yes or no to what ``digest`` describes (as it was shown to the member).

    Raises NotAllowed, NotNow, and Stale when the approval was no longer pending, was past its time, no longer describes
    its subject or has nothing to confirm any more; in all cases but the first it is ended and what it reserved released.
    """
    with transaction.atomic():
        approval = _decide(
            approval_id=approval_id,
            member=member,
            permissions=permissions,
            approved=approved,
            digest=digest,
            reason=reason,
            second_factor=second_factor,
            actor=actor,
            now=now,
        )
    if approval.state in {ApprovalState.VOIDED, ApprovalState.EXPIRED}:
        raise Stale(approval.state)
    return approval


@transaction.atomic
def end_approval(
    *, approval_id: int, state: ApprovalState, reason: str, actor: Actor, now: datetime
) -> None:
    """End a pending approval without a decision (withdrawn, expired). Does nothing when it is over already."""
    approval = hold_approval(approval_id)
    if approval is not None and approval.state == ApprovalState.PENDING:
        _end(approval, state=state, reason=reason, actor=actor, now=now)


def deliver_request(*, approval_id: int, now: datetime) -> int:
    """Mail those who may confirm a pending request, in both languages since the readers' are unknown.

    Returns how many mails left: none when it was decided meanwhile. Network call: to be called outside a transaction.
    Raises what the mail server's client raises.
    """
    approval = get_approval(approval_id)
    if approval is None or approval.state != ApprovalState.PENDING or now >= approval.expires_at:
        return 0
    merchant = Merchant.objects.get(pk=approval.merchant_id)
    path = reverse("approvals:approval_detail", args=[merchant.slug, approval.pk])
    context = {
        "merchant": merchant,
        "approval": approval,
        "requester": approval.requested_by.display_name,
        "label": subject_for(approval.subject_kind).label,
        "amount_minor": approval.summary.get("amount_minor"),
        "reason": approval.summary.get("reason", ""),
        "link": f"{settings.PUBLIC_URL}{path}",
    }
    members = members_who_may(
        permission=approval.permission,
        store_id=approval.store_id,
        besides=approval.requested_by_id,
    )
    return send_in_every_language(
        to=[member.user.email for member in members],
        subject=lambda: (
            gettext("%(merchant)s: your confirmation is asked for") % {"merchant": named(merchant)}
        ),
        template="approvals/mail/request.txt",
        context=context,
    )
