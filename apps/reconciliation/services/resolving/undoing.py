"""Taking a resolution back, by new entries and never by editing: until the business day it booked on is closed."""

from __future__ import annotations

from datetime import date, datetime

from django.db import transaction
from django.utils.translation import gettext as _

from apps.accounts.models import User
from apps.core import audit
from apps.core.audit import Actor
from apps.ledger.models import Adjustment, AdjustmentState
from apps.ledger.selectors import is_closed
from apps.ledger.services import (
    NoOpenDay,
    NotReversible,
    cancel_adjustment,
    claim_day,
    hold_adjustment,
    reverse_adjustment,
)
from apps.payments.services import NotTakenBack, take_back_payment
from apps.reconciliation.models import (
    SETTLING,
    Resolution,
    ResolutionKind,
    ResolutionState,
)
from apps.reconciliation.services.resolving.refusal import CannotResolve
from apps.reconciliation.services.resolving.standing import (
    hold_day,
    match_again,
    show,
    show_target,
)
from apps.refunds.services import take_back_refund


def day_of(resolution: Resolution) -> date:
    """The business day that decides whether it can be undone: the one it booked on, else the day of the run."""
    booked: date | None = resolution.adjustment.booked_date if resolution.adjustment else None
    if resolution.kind == ResolutionKind.ACCEPT:
        repaired = resolution.refund or resolution.payment
        booked = booked or (repaired.booked_date if repaired is not None else None)
    return booked or resolution.day


def why_not_undone(resolution: Resolution) -> str:
    """Why it cannot be taken back, as a code of ``CannotResolve``; "" where it can."""
    if resolution.kind not in SETTLING:
        return "kind"
    if resolution.state in {ResolutionState.UNDONE, ResolutionState.REFUSED}:
        return "undone"
    if resolution.undo_adjustment_id is not None:
        return "waits"
    return "closed" if is_closed(day_of(resolution)) else ""


@transaction.atomic
def undo_resolution(*, resolution_id: int, member: User, actor: Actor, now: datetime) -> Resolution:
    """Take back what was done: a booking by its reversal (which may wait for another member), a repair by its own.

    Raises CannotResolve and leaves all as it was, Resolution.DoesNotExist.
    """
    place = Resolution.objects.get(pk=resolution_id)
    hold_day(account_id=place.account_id, day=place.day)
    if place.adjustment_id is not None:
        # As whoever confirms or refuses it at this moment: its own rows first, the resolution that follows it after.
        hold_adjustment(place.adjustment_id)
    resolution: Resolution = (
        Resolution.objects.select_related("adjustment", "payment", "refund")
        .select_for_update(of=("self",))
        .get(pk=resolution_id)
    )
    decisive = day_of(resolution)
    refusal = why_not_undone(resolution)
    # Neither day may be closed meanwhile as if the difference were still settled.
    held = {day: claim_day(day) for day in sorted({decisive, resolution.day})}
    if refusal or not held[decisive]:
        raise CannotResolve(refusal or "closed", day=decisive)
    words = _("Undoes: %(what)s") % {"what": resolution.reason or resolution.get_kind_display()}
    if resolution.adjustment is not None:
        _undo_booking(resolution, resolution.adjustment, words, member=member, actor=actor, now=now)
        resolution.refresh_from_db()
    else:
        if resolution.kind == ResolutionKind.ACCEPT:
            _undo_repair(resolution, words, actor=actor, now=now)
        mark_undone(resolution, by_id=member.pk, now=now)
        if resolution.kind in {ResolutionKind.ACCEPT, ResolutionKind.LINK}:
            match_again(account_id=resolution.account_id, day=resolution.day, now=now)
    audit.record(
        action="difference.undone",
        subject_kind="resolution",
        subject_id=resolution.pk,
        actor=actor,
        at=now,
        data={
            "kind": resolution.kind,
            "difference_id": resolution.difference_id,
            "state": resolution.state,
            "adjustment": resolution.undo_adjustment_id,
        },
    )
    return resolution


def mark_undone(resolution: Resolution, *, by_id: int | None, now: datetime) -> None:
    """It holds no more; the difference is what its other resolutions make it."""
    resolution.state = ResolutionState.UNDONE
    resolution.undone_by_id = by_id
    resolution.undone_at = now
    resolution.save(update_fields=["state", "undone_by", "undone_at"])
    show(account_id=resolution.account_id, day=resolution.day, identity=resolution.identity)
    show_target(resolution)


def _undo_booking(
    resolution: Resolution,
    adjustment: Adjustment,
    words: str,
    *,
    member: User,
    actor: Actor,
    now: datetime,
) -> None:
    try:
        if adjustment.state == AdjustmentState.WAITING:
            cancel_adjustment(adjustment_id=adjustment.pk, actor=actor, now=now)
            return
        reverse_adjustment(
            adjustment_id=adjustment.pk,
            memo=words,
            member=member,
            actor=actor,
            now=now,
            at=adjustment.at,
            # Who may write off alone may take it back alone.
            confirm=False if resolution.kind == ResolutionKind.WRITE_OFF else None,
        )
    except NotReversible as error:
        raise CannotResolve("reversed") from error
    except NoOpenDay as error:
        raise CannotResolve("no_open_day") from error


def _undo_repair(resolution: Resolution, words: str, *, actor: Actor, now: datetime) -> None:
    try:
        if resolution.refund_id is not None:
            take_back_refund(refund_id=resolution.refund_id, reason=words, actor=actor, now=now)
        elif resolution.payment_id is not None:
            take_back_payment(payment_id=resolution.payment_id, reason=words, actor=actor, now=now)
    except NotTakenBack as error:
        raise CannotResolve(error.reason, day=day_of(resolution)) from error
