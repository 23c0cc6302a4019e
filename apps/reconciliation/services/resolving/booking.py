"""Corrections in the ledger that take the gap of a difference over."""

from __future__ import annotations

from datetime import datetime

from apps.accounts.models import User
from apps.core.audit import Actor
from apps.core.money import Money
from apps.ledger.models import AdjustmentReason, Purpose
from apps.ledger.services import Line, NoOpenDay, post_adjustment
from apps.reconciliation.models import Difference, DifferenceType, Resolution, ResolutionKind
from apps.reconciliation.selectors import offers
from apps.reconciliation.services.resolving.refusal import CannotResolve

#: What the ledger calls the subject of a correction.
SUBJECT = "resolution"


def booking_lines(
    difference: Difference, *, account_id: int, purpose: Purpose | None
) -> list[Line]:
    """The sides of the entry that takes the rest of the gap over: what the platform owes becomes what its bill says.

    ``purpose`` None: as the type has it, a gap in amount and one in its fee each to its own account.
    """
    rest = difference.rest_minor
    owed = Line(purpose=Purpose.RECEIVABLE, amount=Money(rest), subject_id=account_id)
    if (
        purpose is None
        and difference.type == DifferenceType.AMOUNT
        and not difference.adjusted_minor
    ):
        gap = difference.gap_minor - difference.carried_gross_minor
        fees = rest - gap
        return [
            owed,
            Line(purpose=offers.usual_purpose(difference), amount=Money(-gap)),
            Line(purpose=Purpose.FEES, amount=Money(-fees)),
        ]
    return [owed, Line(purpose=purpose or offers.usual_purpose(difference), amount=Money(-rest))]


def _reason(kind: str, purpose: Purpose) -> AdjustmentReason:
    if kind == ResolutionKind.WRITE_OFF:
        return AdjustmentReason.WRITE_OFF
    if purpose == Purpose.FEES:
        return AdjustmentReason.FEE
    if purpose == Purpose.SUSPENSE:
        return AdjustmentReason.SUSPENSE
    return AdjustmentReason.CORRECTION


def book(
    resolution: Resolution,
    difference: Difference,
    *,
    purpose: Purpose | None,
    member: User | None,
    actor: Actor,
    now: datetime,
) -> None:
    """Post the correction, or put it under four eyes; the resolution learns of it as the ledger's follower.

    A write-off goes against the account for adjustments, and within its limit is never put before a second person. Raises CannotResolve where no business day is open.
    """
    run = difference.run
    if resolution.kind == ResolutionKind.WRITE_OFF:
        purpose = Purpose.ADJUSTMENTS
    counter = purpose or offers.usual_purpose(difference)
    words = resolution.reason or str(ResolutionKind(resolution.kind).label)
    try:
        post_adjustment(
            reason=_reason(resolution.kind, counter),
            memo=f"{run.account.label} {run.day}: {words}",
            lines=booking_lines(difference, account_id=run.account_id, purpose=purpose),
            at=offers.moment_of(run, now),
            member=member,
            actor=actor,
            now=now,
            subject_kind=SUBJECT,
            subject_id=resolution.pk,
            confirm=False if resolution.kind == ResolutionKind.WRITE_OFF else None,
        )
    except NoOpenDay as error:
        raise CannotResolve("no_open_day") from error
