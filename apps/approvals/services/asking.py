"""Asking for a confirmation."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from apps.accounts.models import User
from apps.approvals.models import Approval
from apps.approvals.selectors import terms_in_force
from apps.approvals.services import notices
from apps.core import live


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
    """Put a subject under four eyes, in the caller's transaction. The caller says how many and which permission.

    How long it waits, and when members are reminded, is as the merchant's terms are now.
    """
    terms = terms_in_force(now)
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
        expires_at=now + timedelta(hours=terms.expire_hours),
    )
    notices.plan(approval, terms)
    live.publish(
        kind="approval",
        subject_id=approval.pk,
        store_id=approval.store_id,
        member_id=approval.requested_by_id,
    )
    return approval
