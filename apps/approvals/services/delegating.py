"""Handing the right to confirm to another member for a while, as before a holiday."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.db import transaction

from apps.accounts.models import User
from apps.approvals.models import Delegation
from apps.approvals.selectors import STANDS_IN, members_now, possible_stand_ins
from apps.core import audit
from apps.core.audit import Actor
from apps.core.tenancy import current_merchant_id
from apps.merchants.models import Merchant, Role
from apps.merchants.roles import permissions_of

#: Longer absences are handed on anew: a right that is forgotten ends.
LONGEST: Final = timedelta(days=60)


class NotDelegated(Exception):
    """Nothing was handed on. ``reason``: ``"giver"`` (may confirm nothing), ``"receiver"``, ``"period"`` or ``"twice"``."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@transaction.atomic
def delegate(
    *,
    giver: User,
    receiver_id: int,
    starts_at: datetime,
    ends_at: datetime,
    reason: str,
    actor: Actor,
    now: datetime,
) -> Delegation:
    """Let another member confirm in the giver's place. Beginnings in the past become now. Raises NotDelegated."""
    # The team as it is: a change of roles comes before or after.
    Merchant.objects.select_for_update(no_key=True).get(pk=current_merchant_id())
    starts_at = max(starts_at, now)
    if ends_at <= starts_at or ends_at - starts_at > LONGEST:
        raise NotDelegated("period")
    own = members_now({giver.pk}).get(giver.pk)
    if own is None or STANDS_IN not in permissions_of(own.role, all_stores=own.store_ids is None):
        raise NotDelegated("giver")
    if receiver_id not in {member.user_id for member in possible_stand_ins(besides=giver.pk)}:
        raise NotDelegated("receiver")
    overlapping = Delegation.objects.filter(
        giver=giver,
        receiver_id=receiver_id,
        ended_at=None,
        starts_at__lt=ends_at,
        ends_at__gt=starts_at,
    )
    if overlapping.exists():
        raise NotDelegated("twice")
    row: Delegation = Delegation.objects.create(
        giver=giver,
        receiver_id=receiver_id,
        reason=reason[:120],
        starts_at=starts_at,
        ends_at=ends_at,
        created_at=now,
    )
    _record("delegation.given", row, actor=actor, now=now)
    return row


@transaction.atomic
def end_delegation(*, delegation_id: int, member: User, actor: Actor, now: datetime) -> bool:
    """End it now: its giver, its receiver or an owner may. False when it was over already.

    Raises Delegation.DoesNotExist, also where this member may not.
    """
    row: Delegation = (
        Delegation.objects.select_for_update(of=("self",))
        .select_related("giver", "receiver")
        .get(pk=delegation_id)
    )
    if not may_end(row, member):
        raise Delegation.DoesNotExist
    if row.ended_at is not None or row.ends_at <= now:
        return False
    row.ended_at = now
    row.ended_by = member
    row.save(update_fields=["ended_at", "ended_by"])
    _record("delegation.ended", row, actor=actor, now=now)
    return True


def may_end(row: Delegation, member: User) -> bool:
    """Whether this member may end it: both of them may, and each owner."""
    if member.pk in {row.giver_id, row.receiver_id}:
        return True
    own = members_now({member.pk}).get(member.pk)
    return own is not None and own.role == Role.OWNER


def _record(action: str, row: Delegation, *, actor: Actor, now: datetime) -> None:
    audit.record(
        action=action,
        subject_kind="delegation",
        subject_id=row.pk,
        actor=actor,
        at=now,
        data={
            "giver": row.giver.email,
            "receiver": row.receiver.email,
            "from": row.starts_at.isoformat(),
            "to": row.ends_at.isoformat(),
            "reason": row.reason,
        },
    )
