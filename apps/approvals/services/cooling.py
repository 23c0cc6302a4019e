"""A shop of one person: instead of a second one, time. It is carried out by itself after the delay, unless cancelled."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.db import transaction

from apps.accounts.models import User
from apps.approvals.models import Approval, ApprovalState, NoticeStep
from apps.approvals.selectors import cooling_hours_for
from apps.approvals.services import notices
from apps.approvals.services.deciding import NotAllowed, Stale, end, hold_approval
from apps.approvals.subjects import NotNow, subject_for
from apps.core import audit, live, outbox
from apps.core.audit import Actor

#: How long after the delay it may still be carried out, should the worker have been away or the subject not been ready.
_GRACE: Final = timedelta(days=1)
#: When it is tried again where the subject says "not now".
_AGAIN: Final = timedelta(minutes=10)


class NoCooling(Exception):
    """Not to be had: the merchant did not choose it, another member may confirm, or it runs already."""


@transaction.atomic
def start_cooling(
    *,
    approval_id: int,
    member: User,
    digest: bytes,
    second_factor: bool,
    actor: Actor,
    now: datetime,
) -> Approval:
    """Let the requester's own wish be carried out after the merchant's delay; everybody who owns the merchant is told at once.

    ``digest`` is of what the requester was shown. Raises NotAllowed ("requester" for anybody else, "factor" without a second
    factor), NoCooling, and Stale when it no longer waits or has changed.
    """
    approval = hold_approval(approval_id)
    if approval is None or approval.state != ApprovalState.PENDING or now >= approval.expires_at:
        raise Stale("no longer pending")
    if approval.requested_by_id != member.pk:
        raise NotAllowed("requester")
    if not second_factor:
        raise NotAllowed("factor")
    hours = cooling_hours_for(approval, now=now)
    if not hours or approval.cools_until is not None:
        raise NoCooling
    if (
        not digest
        == subject_for(approval.subject_kind).digest(approval.subject_id)
        == bytes(approval.digest)
    ):
        raise Stale("changed")
    approval.cools_from = now
    approval.cools_until = now + timedelta(hours=hours)
    approval.expires_at = approval.cools_until + _GRACE
    approval.save(update_fields=["cools_from", "cools_until", "expires_at"])
    notices.expire_at(approval, approval.expires_at)
    outbox.enqueue(
        task=notices.COOL_TASK,
        merchant_id=approval.merchant_id,
        subject_id=approval.pk,
        due_at=approval.cools_until,
    )
    _record("approval.cooling", approval, actor=actor, now=now, hours=hours)
    # A stolen session must not stay unseen: the owner's own mailbox hears of it as well.
    notices.tell(approval, NoticeStep.COOLING, readers=_readers(approval), now=now)
    return approval


def _readers(approval: Approval) -> list[int]:
    return [approval.requested_by_id, *(owner.user_id for owner in notices.owners())]


@transaction.atomic
def finish_cooling(*, approval_id: int, now: datetime) -> datetime | None:
    """Carry it out when the delay is over; returns when to look again, None for never.

    Void where anything has changed. Where another member may confirm by now, or the merchant no longer wants it, the delay
    ends without effect and the request waits like any other.
    """
    approval = hold_approval(approval_id)
    if (
        approval is None
        or approval.state != ApprovalState.PENDING
        or approval.cools_until is None
        or now >= approval.expires_at
    ):
        return None
    if now < approval.cools_until:
        return approval.cools_until
    system = Actor.system("approvals")
    hours = cooling_hours_for(approval, now=now)
    # What tightens the terms holds at once, also for a delay that is running.
    if (
        hours
        and approval.cools_from is not None
        and now < approval.cools_from + timedelta(hours=hours)
    ):
        return approval.cools_from + timedelta(hours=hours)
    if not hours:
        approval.cools_from = approval.cools_until = None
        approval.save(update_fields=["cools_from", "cools_until"])
        _record("approval.cooling_stopped", approval, actor=system, now=now)
        notices.ask_again(approval, now)
        live.publish(
            kind="approval",
            subject_id=approval.pk,
            store_id=approval.store_id,
            member_id=approval.requested_by_id,
        )
        return None
    subject = subject_for(approval.subject_kind)
    if subject.digest(approval.subject_id) != bytes(approval.digest):
        end(approval, state=ApprovalState.VOIDED, reason="changed", actor=system, now=now)
        return None
    try:
        lapsed = subject.lapsed(approval.subject_id)
    except NotNow:
        return now + _AGAIN
    if lapsed:
        end(approval, state=ApprovalState.VOIDED, reason=lapsed, actor=system, now=now)
        return None
    end(approval, state=ApprovalState.APPROVED, reason="", actor=system, now=now)
    _record("approval.cooled", approval, actor=system, now=now)
    notices.tell(approval, NoticeStep.COOLED, readers=_readers(approval), now=now)
    return None


def _record(action: str, approval: Approval, *, actor: Actor, now: datetime, **data: int) -> None:
    audit.record(
        action=action,
        subject_kind="approval",
        subject_id=approval.pk,
        actor=actor,
        at=now,
        store_id=approval.store_id,
        data={"subject": f"{approval.subject_kind}:{approval.subject_id}", **data},
    )
