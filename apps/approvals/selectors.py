"""What waits for whom."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.db.models import Q

from apps.accounts.models import User
from apps.approvals.models import Approval, ApprovalState, Decision
from apps.core.tenancy import ScopedQuerySet, current_merchant_id, current_scope
from apps.merchants.models import Membership
from apps.merchants.roles import ALL_PERMISSIONS, permissions_of

#: How long a decided request stays in the list, and how many at most.
RECENT: Final = timedelta(days=30)
RECENT_LIMIT: Final = 20


def visible_approvals() -> ScopedQuerySet[Approval]:
    """Approvals that the scope's stores allow to see."""
    return Approval.objects.visible()


def waiting_for(*, member: User, permissions: frozenset[str]) -> ScopedQuerySet[Approval]:
    """Pending approvals that this member may decide: holds the permission, is not the requester, has not yet spoken."""
    return (
        visible_approvals()
        .filter(state=ApprovalState.PENDING, permission__in=permissions)
        .exclude(requested_by=member)
        .exclude(decisions__member=member)
        .order_by("pk")
    )


def seen_through(permissions: frozenset[str]) -> frozenset[str]:
    """The permissions whose requests a member may look at: those held, and those of rooms that the member sees."""
    return frozenset(
        permission
        for permission in ALL_PERMISSIONS
        if permission in permissions or f"{permission.partition('.')[0]}.view" in permissions
    )


def _of_interest(*, member: User, permissions: frozenset[str]) -> ScopedQuerySet[Approval]:
    mine = Q(requested_by=member) | Q(permission__in=seen_through(permissions))
    return visible_approvals().filter(mine).select_related("requested_by")


def waiting_for_others(*, member: User, permissions: frozenset[str]) -> ScopedQuerySet[Approval]:
    """Pending approvals that somebody else must decide: the member's own, and others that the member may look at."""
    return (
        _of_interest(member=member, permissions=permissions)
        .filter(state=ApprovalState.PENDING)
        .exclude(pk__in=waiting_for(member=member, permissions=permissions).order_by().values("pk"))
        .order_by("-pk")
    )


def recently_decided(
    *, member: User, permissions: frozenset[str], now: datetime
) -> ScopedQuerySet[Approval]:
    """What was decided or ended in the last 30 days, newest first, with its decisions."""
    return (
        _of_interest(member=member, permissions=permissions)
        .exclude(state=ApprovalState.PENDING)
        .filter(decided_at__gt=now - RECENT)
        .prefetch_related("decisions__member")
        .order_by("-decided_at", "-pk")[:RECENT_LIMIT]
    )


def decisions_of(approval_id: int) -> list[Decision]:
    """Who said yes or no, in order."""
    return list(
        Decision.objects.filter(approval_id=approval_id).select_related("member").order_by("pk")
    )


def members_who_may(*, permission: str, store_id: int | None, besides: int) -> list[Membership]:
    """Active members who hold the permission and reach the store, without the user ``besides`` (the requester)."""
    members = (
        Membership.objects.select_related("user")
        .filter(merchant_id=current_merchant_id(), is_active=True, user__is_active=True)
        .exclude(user_id=besides)
        .order_by("pk")
    )
    return [
        member
        for member in members
        if permission in permissions_of(member.role, all_stores=member.store_ids is None)
        and (member.store_ids is None or store_id in member.store_ids)
    ]


def get_approval(approval_id: int) -> Approval | None:
    """One approval the scope may see, with its requester, or None."""
    current_scope()
    return visible_approvals().select_related("requested_by").filter(pk=approval_id).first()
