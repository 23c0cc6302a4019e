"""Answers to what is held: by the payer, or by a member."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from apps.accounts.models import User
from apps.core import audit, live
from apps.core.audit import Actor
from apps.risk.holds import thing_for
from apps.risk.models import Asked, HoldState, RiskHold


class AlreadyAnswered(Exception):
    """Somebody answered meanwhile, or its time is over."""


@transaction.atomic
def confirm_by_payer(*, kind: str, subject_id: int, now: datetime) -> bool:
    """The payer says yes to what only the payer is asked; whether there was anything to confirm. Safe to repeat."""
    return bool(
        RiskHold.objects.filter(
            kind=kind, subject_id=subject_id, asked=Asked.PAYER, state=HoldState.ASKED
        ).update(state=HoldState.RELEASED, answered_at=now)
    )


@transaction.atomic
def leave_hold(*, kind: str, subject_id: int, now: datetime) -> bool:
    """Whoever waited gave the thing up, so nobody is asked any more; whether anybody was. Safe to repeat."""
    left = list(
        RiskHold.objects.select_for_update().filter(
            kind=kind, subject_id=subject_id, state=HoldState.ASKED, expires_at__gt=now
        )
    )
    for hold in left:
        hold.state, hold.answered_at = HoldState.LEFT, now
        hold.save(update_fields=["state", "answered_at"])
        live.publish(kind="alert", subject_id=hold.pk, store_id=hold.store_id)
    return bool(left)


@transaction.atomic
def answer_hold(
    *, hold_id: int, release: bool, member: User, actor: Actor, now: datetime
) -> RiskHold:
    """A member lets a held thing go on, or refuses it; its room does what follows, in the same transaction.

    Raises RiskHold.DoesNotExist, AlreadyAnswered.
    """
    hold = RiskHold.objects.visible().select_for_update().get(pk=hold_id, asked=Asked.MEMBER)
    if hold.state != HoldState.ASKED or now >= hold.expires_at:
        raise AlreadyAnswered(hold.state)
    hold.state = HoldState.RELEASED if release else HoldState.REFUSED
    hold.answered_at = now
    hold.answered_by = member
    hold.save(update_fields=["state", "answered_at", "answered_by"])
    thing = thing_for(hold.kind)
    if release:
        thing.release(hold.subject_id, actor=actor, now=now)
    else:
        thing.refuse(hold.subject_id, actor=actor, now=now)
    audit.record(
        action="hold.released" if release else "hold.refused",
        subject_kind=hold.kind,
        subject_id=hold.subject_id,
        actor=actor,
        at=now,
        store_id=hold.store_id,
        data={"rule": hold.rule, "amount_minor": hold.amount_minor},
    )
    live.publish(kind="alert", subject_id=hold.pk, store_id=hold.store_id)
    return hold
