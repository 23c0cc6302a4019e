"""Opening a closed day again, under four eyes.

Any closed day may be opened again, not only the last: its files hold what is booked on the day and no balance carried from the
days before, so that the files of later days stay true to the byte.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Final

from django.db import transaction

from apps.accounts.models import User
from apps.approvals.models import Approval, ApprovalState
from apps.approvals.services import end_approval, request_approval
from apps.core import audit, live
from apps.core.audit import Actor
from apps.ledger import services as ledger
from apps.reconciliation.models import DayClose, DayReopening, ReopeningState

REOPEN_PERMISSION: Final = "days.reopen"
#: Approvals know such a wish by this word.
SUBJECT_KIND: Final = "day_reopening"


class NotReopenable(Exception):
    """``reason``: ``"open"`` (not closed, or closed anew meanwhile), ``"asked"`` (already) or ``"unwritten"`` (its files)."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NotWaiting(Exception):
    """The wish no longer waits for confirmation."""


def reopening_digest(reopening: DayReopening) -> bytes:
    """SHA-256 over what is confirmed: the day, the version that is closed, and why."""
    signed = {
        "id": reopening.pk,
        "day": reopening.close.day.isoformat(),
        "version": reopening.close.version,
        "reason": reopening.reason,
    }
    return hashlib.sha256(json.dumps(signed, sort_keys=True).encode()).digest()


@transaction.atomic
def request_reopening(
    *, close_id: int, reason: str, member: User, actor: Actor, now: datetime
) -> DayReopening:
    """Ask for a closed day to be opened again; another member with the permission must confirm it.

    Raises NotReopenable, DayClose.DoesNotExist.
    """
    close = DayClose.objects.get(pk=close_id)
    held = ledger.hold_day(close.day)
    if not held.is_closed or held.version != close.version:
        raise NotReopenable("open")
    # What is opened must be kept as it was: all its files first.
    if close.files.count() < len(close.file_names):
        raise NotReopenable("unwritten")
    if close.reopenings.filter(state=ReopeningState.WAITING).exists():
        raise NotReopenable("asked")
    reopening: DayReopening = DayReopening.objects.create(
        close=close, reason=reason[:200], requested_by=member, created_at=now
    )
    reopening.approval = request_approval(
        subject_kind=SUBJECT_KIND,
        subject_id=reopening.pk,
        store_id=None,
        summary={"reason": reopening.reason, "day": close.day.isoformat()},
        digest=reopening_digest(reopening),
        permission=REOPEN_PERMISSION,
        needed=1,
        requested_by=member,
        now=now,
    )
    reopening.save(update_fields=["approval"])
    _record(reopening, "day.reopening_requested", actor=actor, now=now)
    return reopening


def release_reopening(*, approval: Approval, actor: Actor, now: datetime) -> None:
    """Confirmed: the day is open, in the approval's transaction. Its closing and files stay readable."""
    reopening = _waiting(approval)
    if reopening is None:
        return
    ledger.open_day(reopening.close.day)
    _end(reopening, ReopeningState.DONE, now=now)
    _record(reopening, "day.reopened", actor=actor, now=now)
    live.publish(kind="day", subject_id=reopening.close_id, store_id=None)


def void_reopening(*, approval: Approval, reason: str, actor: Actor, now: datetime) -> None:
    """Refused, withdrawn, changed or expired: the day stays closed, in the approval's transaction."""
    reopening = _waiting(approval)
    if reopening is None:
        return
    refused = approval.state == ApprovalState.REJECTED
    reopening.message = reason[:200]
    _end(reopening, ReopeningState.REJECTED if refused else ReopeningState.CANCELLED, now=now)
    action = "day.reopening_refused" if refused else "day.reopening_cancelled"
    _record(reopening, action, actor=actor, now=now)


@transaction.atomic
def cancel_reopening(*, reopening_id: int, actor: Actor, now: datetime) -> DayReopening:
    """Withdraw a wish that still waits. Raises NotWaiting, DayReopening.DoesNotExist."""
    reopening: DayReopening = DayReopening.objects.get(pk=reopening_id)
    if reopening.state != ReopeningState.WAITING or reopening.approval_id is None:
        raise NotWaiting
    end_approval(
        approval_id=reopening.approval_id,
        state=ApprovalState.VOIDED,
        reason="withdrawn",
        actor=actor,
        now=now,
    )
    reopening.refresh_from_db()
    return reopening


def _waiting(approval: Approval) -> DayReopening | None:
    found: DayReopening | None = (
        DayReopening.objects.select_for_update(of=("self",))
        .select_related("close")
        .filter(pk=approval.subject_id, approval_id=approval.pk, state=ReopeningState.WAITING)
        .first()
    )
    return found


def _end(reopening: DayReopening, state: ReopeningState, *, now: datetime) -> None:
    reopening.state = state
    reopening.ended_at = now
    reopening.save(update_fields=["state", "ended_at", "message"])


def _record(reopening: DayReopening, action: str, *, actor: Actor, now: datetime) -> None:
    audit.record(
        action=action,
        subject_kind="day_close",
        subject_id=reopening.close_id,
        actor=actor,
        at=now,
        data={
            "day": reopening.close.day.isoformat(),
            "version": reopening.close.version,
            "reason": reopening.reason,
        },
    )
