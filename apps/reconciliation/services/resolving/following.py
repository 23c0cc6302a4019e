"""What became of a correction in the ledger, and so of the difference that it settles."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Sum

from apps.core.audit import Actor
from apps.ledger.models import Adjustment, AdjustmentState, Purpose
from apps.reconciliation.models import Resolution, ResolutionState
from apps.reconciliation.services.resolving.standing import hold_day, show
from apps.reconciliation.services.resolving.undoing import mark_undone


def follow_adjustment(*, adjustment: Adjustment, actor: Actor, now: datetime) -> None:
    """Bring a resolution and its difference in line with its correction, or with the reversal of it, in the ledger's transaction.

    A correction that somebody reverses on the ledger's own pages is undone here as well. Raises Resolution.DoesNotExist.
    """
    place = Resolution.objects.only("account_id", "day").get(pk=adjustment.subject_id)
    # A matching under way either sees what was booked, or its rows are the ones that are brought in line.
    hold_day(account_id=place.account_id, day=place.day)
    resolution = Resolution.objects.select_for_update().get(pk=adjustment.subject_id)
    state = AdjustmentState(adjustment.state)
    if adjustment.reverses_id is not None:
        _follow_reversal(resolution, adjustment, state, actor=actor, now=now)
        return
    resolution.adjustment = adjustment
    if state == AdjustmentState.WAITING:
        resolution.state = ResolutionState.WAITING
    elif state == AdjustmentState.POSTED:
        owed = adjustment.lines.filter(
            account__purpose=Purpose.RECEIVABLE, account__subject_id=resolution.account_id
        )
        resolution.booked_minor = owed.aggregate(sum=Sum("amount_minor"))["sum"] or 0
        resolution.state = ResolutionState.DONE
    else:
        resolution.state = ResolutionState.REFUSED
    resolution.save(update_fields=["adjustment", "state", "booked_minor"])
    show(account_id=resolution.account_id, day=resolution.day, identity=resolution.identity)


def _follow_reversal(
    resolution: Resolution,
    reversal: Adjustment,
    state: AdjustmentState,
    *,
    actor: Actor,
    now: datetime,
) -> None:
    alive = state in {AdjustmentState.WAITING, AdjustmentState.POSTED}
    resolution.undo_adjustment = reversal if alive else None
    resolution.save(update_fields=["undo_adjustment"])
    if state == AdjustmentState.POSTED:
        mark_undone(resolution, by_id=reversal.requested_by_id or actor.user_id, now=now)
