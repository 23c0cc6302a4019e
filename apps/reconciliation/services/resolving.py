"""What people say of differences."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from apps.accounts.models import User
from apps.core import audit
from apps.core.audit import Actor
from apps.reconciliation.models import Difference, DifferenceState


def resolve_difference(
    *, difference_id: int, note: str, member: User, actor: Actor, now: datetime
) -> Difference:
    """A person says what became of a difference. Raises Difference.DoesNotExist."""
    with transaction.atomic():
        difference = Difference.objects.select_for_update().get(pk=difference_id)
        difference.state = DifferenceState.RESOLVED
        difference.note = note[:300]
        difference.resolved_by = member
        difference.resolved_at = now
        difference.save(update_fields=["state", "note", "resolved_by", "resolved_at"])
        audit.record(
            action="difference.resolved",
            subject_kind="run",
            subject_id=difference.run_id,
            actor=actor,
            at=now,
            data={"difference_id": difference.pk, "type": difference.type, "note": note[:300]},
        )
    return difference


def reopen_difference(*, difference_id: int, actor: Actor, now: datetime) -> Difference:
    """Take a resolution back; the note goes with it. Raises Difference.DoesNotExist."""
    with transaction.atomic():
        difference = Difference.objects.select_for_update().get(pk=difference_id)
        note = difference.note
        difference.state = DifferenceState.OPEN
        difference.note = ""
        difference.resolved_by = None
        difference.resolved_at = None
        difference.save(update_fields=["state", "note", "resolved_by", "resolved_at"])
        audit.record(
            action="difference.reopened",
            subject_kind="run",
            subject_id=difference.run_id,
            actor=actor,
            at=now,
            data={"difference_id": difference.pk, "type": difference.type, "note": note},
        )
    return difference
