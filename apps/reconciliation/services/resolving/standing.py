"""What a difference is, given all that was done about it: its state follows from its resolutions, never the reverse."""

from __future__ import annotations

from datetime import date, datetime
from typing import Final
from uuid import UUID

from django.db.models import Sum

from apps.core import live, outbox, sql
from apps.core.tenancy import current_merchant_id
from apps.platforms.gateway import StatementKind
from apps.reconciliation.models import (
    IN_FORCE,
    SETTLING,
    Difference,
    DifferenceState,
    DifferenceType,
    Resolution,
    ResolutionKind,
    ResolutionState,
)
from apps.statements.models import StatementDay

# A matching of the day holds this row while it reads what was resolved: neither may miss the other's work.
_HOLD_DAY = """
SELECT FROM statements_statementday WHERE merchant_id = %s AND account_id = %s AND kind = %s AND day = %s FOR {how}
"""


#: What needs nobody while nothing is booked for it.
_EXPLAINED: Final = (
    DifferenceType.CARRY_IN,
    DifferenceType.CARRY_OUT,
    DifferenceType.EXPECTED,
    DifferenceType.OVERBOOKED,
)


def hold_day(*, account_id: int, day: date, alone: bool = False) -> None:
    """Keep the day from being matched until the transaction ends; ``alone``: as matching itself does."""
    held = _HOLD_DAY.format(how="UPDATE" if alone else "SHARE")
    sql.first(held, [current_merchant_id(), account_id, StatementKind.TRADE.value, day])


def is_about(said: Resolution | Difference, difference: Difference) -> bool:
    """Whether the difference is still of the type and size that it was when it was settled, or chosen."""
    return (
        said.type,
        said.gap_minor,
        said.net_gap_minor,
        said.their_minor,
        said.our_minor,
    ) == (
        difference.type,
        difference.gap_minor,
        difference.net_gap_minor,
        difference.their_minor,
        difference.our_minor,
    )


def in_force(*, account_id: int, day: date, identity: UUID) -> Resolution | None:
    """What settles it at present, or waits for confirmation."""
    found: Resolution | None = Resolution.objects.filter(
        account_id=account_id, day=day, identity=identity, kind__in=SETTLING, state__in=IN_FORCE
    ).first()
    return found


def show(*, account_id: int, day: date, identity: UUID) -> None:
    """Bring the current run's row of it in line with its resolutions, as matching does for new rows."""
    row = Difference.objects.filter(
        run__account_id=account_id, run__day=day, run__is_current=True, identity=identity
    ).first()
    if row is None:
        return
    booked = Resolution.objects.filter(
        account_id=account_id,
        day=day,
        identity=identity,
        state__in=[ResolutionState.DONE, ResolutionState.SUPERSEDED],
    ).aggregate(sum=Sum("booked_minor"))["sum"]
    settles = in_force(account_id=account_id, day=day, identity=identity)
    if settles is not None and not is_about(settles, row):
        settles = None
    if settles is None and row.resolution_id is None and row.adjusted_minor == (booked or 0):
        return
    state = DifferenceState.OPEN
    if settles is not None:
        waits = settles.state == ResolutionState.WAITING
        state = DifferenceState.WAITING if waits else DifferenceState.RESOLVED
    elif row.type in _EXPLAINED and not booked:
        # Of the last: what it was about is taken back, and the next matching does not find it any more.
        state = DifferenceState.EXPLAINED
    Difference.objects.filter(pk=row.pk).update(
        state=state, resolution=settles, adjusted_minor=booked or 0
    )
    live.publish(kind="run", subject_id=row.run_id, store_id=None)


def show_target(resolution: Resolution) -> None:
    """Of a link: the difference of ours that the bill row was linked to needs nobody while the link holds."""
    if resolution.kind != ResolutionKind.LINK:
        return
    ours = (
        {"refund_id": resolution.refund_id}
        if resolution.refund_id is not None
        else {"payment_id": resolution.payment_id, "refund__isnull": True}
    )
    rows = Difference.objects.filter(
        run__account_id=resolution.account_id, run__is_current=True, line__isnull=True, **ours
    )
    if resolution.state == ResolutionState.DONE:
        rows.filter(state=DifferenceState.OPEN).update(
            state=DifferenceState.RESOLVED, resolution=resolution
        )
    else:
        rows.filter(resolution=resolution).update(state=DifferenceState.OPEN, resolution=None)


def match_again(*, account_id: int, day: date, now: datetime) -> None:
    """Let a worker match the day again: our side of it has changed."""
    day_id = (
        StatementDay.objects.filter(account_id=account_id, kind=StatementKind.TRADE.value, day=day)
        .values_list("pk", flat=True)
        .first()
    )
    if day_id is not None:
        outbox.enqueue(
            task="reconciliation.run",
            merchant_id=current_merchant_id(),
            subject_id=day_id,
            due_at=now,
        )
