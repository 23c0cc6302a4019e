"""What waits for whom."""

from __future__ import annotations

from apps.accounts.models import User
from apps.approvals.models import Approval, ApprovalState
from apps.core.tenancy import ScopedQuerySet, current_scope


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


def get_approval(approval_id: int) -> Approval | None:
    """One approval the scope may see, with its requester, or None."""
    current_scope()
    return visible_approvals().select_related("requested_by").filter(pk=approval_id).first()
