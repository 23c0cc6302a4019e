"""Giving a confirmation, refusing it, ending it."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from apps.accounts.models import User
from apps.approvals.models import Approval, ApprovalState, Decision
from apps.approvals.selectors import terms_in_force, voice_of
from apps.approvals.services import notices
from apps.approvals.subjects import subject_for
from apps.core import audit, live
from apps.core.audit import Actor


class NotAllowed(Exception):
    """This member may not decide: the requester, without the permission, or a second time.

    ``reason``: ``"requester"``, ``"permission"``, ``"already_decided"`` or ``"factor"`` (the merchant asks for a second factor).
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Stale(Exception):
    """The approval is no longer pending, or what it confirms was changed or lapsed meanwhile (it is void then)."""


def end(
    approval: Approval, *, state: ApprovalState, reason: str, actor: Actor, now: datetime
) -> None:
    """End an approval that ``hold_approval`` has locked, and do or undo what it was about. For this room's services."""
    approval.state = state
    approval.decided_at = now
    approval.save(update_fields=["state", "decided_at"])
    notices.forget(approval)
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
    if Decision.objects.filter(approval=approval, member=member).exists():
        raise NotAllowed("already_decided")
    # Read again here: the role that opened the page may have been taken away since.
    voice = voice_of(approval, member=member, now=now)
    if voice is None or (voice.delegation is None and approval.permission not in permissions):
        raise NotAllowed("permission")
    if approved and not second_factor and terms_in_force(now).factor:
        raise NotAllowed("factor")
    subject = subject_for(approval.subject_kind)
    today = subject.digest(approval.subject_id)
    if now >= approval.expires_at:
        end(approval, state=ApprovalState.EXPIRED, reason="expired", actor=actor, now=now)
        return approval
    if today != bytes(approval.digest) or digest != today:
        end(approval, state=ApprovalState.VOIDED, reason="changed", actor=actor, now=now)
        return approval
    lapsed = subject.lapsed(approval.subject_id) if approved else ""
    if lapsed:
        end(approval, state=ApprovalState.VOIDED, reason=lapsed, actor=actor, now=now)
        return approval
    Decision.objects.create(
        approval=approval,
        requested_by_id=approval.requested_by_id,
        member=member,
        delegation=voice.delegation,
        on_behalf_of=voice.delegation.giver if voice.delegation else None,
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
            "on_behalf_of": voice.delegation.giver.email if voice.delegation else "",
        },
    )
    if not approved:
        end(approval, state=ApprovalState.REJECTED, reason=reason, actor=actor, now=now)
    elif Decision.objects.filter(approval=approval, approved=True).count() >= approval.needed:
        end(approval, state=ApprovalState.APPROVED, reason=reason, actor=actor, now=now)
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
        end(approval, state=state, reason=reason, actor=actor, now=now)


@transaction.atomic
def withdraw(*, approval_id: int, member: User, actor: Actor, now: datetime) -> None:
    """The requester takes back what still waits. Raises NotAllowed for anybody else, Stale when it is over."""
    approval = _locked(approval_id)
    if approval.requested_by_id != member.pk:
        raise NotAllowed("permission")
    end(approval, state=ApprovalState.VOIDED, reason="withdrawn", actor=actor, now=now)
    audit.record(
        action="approval.withdrawn",
        subject_kind="approval",
        subject_id=approval.pk,
        actor=actor,
        at=now,
        store_id=approval.store_id,
        data={"subject": f"{approval.subject_kind}:{approval.subject_id}"},
    )


@transaction.atomic
def expire(*, approval_id: int, now: datetime) -> datetime | None:
    """End a pending approval whose time is over; where it was prolonged meanwhile, returns when to look again."""
    approval = hold_approval(approval_id)
    if approval is None or approval.state != ApprovalState.PENDING:
        return None
    if now < approval.expires_at:
        return approval.expires_at
    end(
        approval,
        state=ApprovalState.EXPIRED,
        reason="expired",
        actor=Actor.system("approvals"),
        now=now,
    )
    return None
