"""Doing something about a difference: each act is one row that stays."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from apps.accounts.models import User
from apps.core import audit
from apps.core.audit import Actor
from apps.ledger.models import Purpose
from apps.payments.models import Payment
from apps.reconciliation.models import (
    AutoRule,
    BulkAct,
    Difference,
    ReconciliationRun,
    Resolution,
    ResolutionKind,
    ResolutionState,
)
from apps.reconciliation.selectors import offers
from apps.reconciliation.selectors.differences import possible_owners
from apps.reconciliation.services.resolving.accepting import accept
from apps.reconciliation.services.resolving.booking import book
from apps.reconciliation.services.resolving.refusal import CannotResolve
from apps.reconciliation.services.resolving.standing import (
    hold_day,
    in_force,
    is_about,
    match_again,
    show,
    show_target,
)
from apps.refunds.models import Refund
from apps.statements.models import StatementLine

K = ResolutionKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What is to be done. ``purpose``: of a correction, None as the type has it. ``store_id``: where an accepted payment goes.

    ``payment_id`` or ``refund_id``: what a bill row is linked to.
    """

    kind: ResolutionKind
    reason: str = ""
    purpose: Purpose | None = None
    store_id: int | None = None
    payment_id: int | None = None
    refund_id: int | None = None


def line_key(line: StatementLine) -> UUID:
    """What a bill row is known by in any version of its bill; ``matching_sql.BY_HAND`` reckons the same."""
    known = "|".join(
        [
            "t" if line.kind == "refund" else "f",
            line.order_no,
            line.refund_no,
            line.platform_trade_no,
            line.platform_refund_no,
            str(int(line.occurred_at.timestamp())),
        ]
    )
    return UUID(hashlib.md5(known.encode(), usedforsecurity=False).hexdigest())


def _locked(difference_id: int, *, alone: bool = False) -> Difference:
    """The difference with its run and both sides, its day kept from being matched meanwhile.

    ``alone``: nobody else settles anything of that day either, since booking a row of its bill holds the day so.

    Raises Difference.DoesNotExist.
    """
    place = Difference.objects.select_related("run").get(pk=difference_id).run
    hold_day(account_id=place.account_id, day=place.day, alone=alone)
    difference: Difference = (
        Difference.objects.select_related("run__account", "line", "payment", "refund__payment")
        .select_for_update(of=("self",))
        .get(pk=difference_id)
    )
    return difference


def current_id(difference_id: int, *, alone: bool = False) -> int:
    """The same thing in the run that counts now, with its day held as ``_locked`` holds it: for who chose it some time ago.

    Raises CannotResolve where it is gone, or is of another type or size than when it was chosen, Difference.DoesNotExist.
    """
    chosen = Difference.objects.select_related("run").get(pk=difference_id)
    place = chosen.run
    hold_day(account_id=place.account_id, day=place.day, alone=alone)
    if ReconciliationRun.objects.filter(pk=place.pk, is_current=True).exists():
        return difference_id
    now: Difference | None = (
        Difference.objects.filter(
            run__account_id=place.account_id, run__day=place.day, run__is_current=True
        )
        .filter(identity=chosen.identity, identity__isnull=False)
        .first()
    )
    if now is None:
        raise CannotResolve("gone")
    if not is_about(chosen, now):
        raise CannotResolve("changed")
    return now.pk


def _write(
    difference: Difference, *, kind: ResolutionKind, now: datetime, **facts: Any
) -> Resolution:
    if difference.identity is None:
        raise CannotResolve("old_run")
    resolution: Resolution = Resolution.objects.create(
        account_id=difference.run.account_id,
        day=difference.run.day,
        identity=difference.identity,
        difference_id=difference.pk,
        kind=kind,
        type=difference.type,
        their_minor=difference.their_minor,
        our_minor=difference.our_minor,
        gap_minor=difference.gap_minor,
        net_gap_minor=difference.net_gap_minor,
        at=now,
        **facts,
    )
    return resolution


def _record(
    resolution: Resolution, difference: Difference, *, actor: Actor, now: datetime, **data: Any
) -> None:
    audit.record(
        action=f"difference.{resolution.kind}",
        subject_kind="run",
        subject_id=difference.run_id,
        actor=actor,
        at=now,
        data={
            "difference_id": difference.pk,
            "resolution_id": resolution.pk,
            "type": difference.type,
            "net_gap_minor": difference.net_gap_minor,
            "reason": resolution.reason[:300],
            **data,
        },
    )


@transaction.atomic
def resolve_difference(
    *,
    difference_id: int,
    act: Act,
    member: User | None,
    actor: Actor,
    now: datetime,
    rule: AutoRule | None = None,
    bulk: BulkAct | None = None,
) -> Resolution:
    """Settle a difference by one of its kinds; of two people at once the second is refused.

    ``member`` None: by a rule of the merchant. A booking above the merchant's limit waits for another member, and so does the
    difference. Raises CannotResolve and leaves all as it was, Difference.DoesNotExist.
    """
    difference = _locked(difference_id, alone=act.kind == K.ACCEPT)
    run = difference.run
    refusal = offers.unfit(difference, act.kind, limit=offers.write_off_limit())
    if refusal or difference.identity is None:
        raise CannotResolve(refusal or "old_run", limit_minor=offers.write_off_limit().limit_minor)
    place = {"account_id": run.account_id, "day": run.day, "identity": difference.identity}
    earlier = in_force(**place)
    if earlier is not None:
        if earlier.state == ResolutionState.WAITING or earlier.undo_adjustment_id is not None:
            raise CannotResolve("waits")
        # It settled the difference as it was then; what it booked stays booked.
        Resolution.objects.filter(pk=earlier.pk).update(state=ResolutionState.SUPERSEDED)
    if not act.reason and rule is None and act.kind in {K.KEEP, K.ADJUST, K.WRITE_OFF}:
        raise CannotResolve("no_reason")
    resolution = _write(
        difference,
        kind=act.kind,
        reason=act.reason[:1000],
        member=member,
        rule=rule,
        bulk=bulk,
        now=now,
    )
    if offers.books(act.kind, difference.type):
        book(resolution, difference, purpose=act.purpose, member=member, actor=actor, now=now)
        resolution.refresh_from_db()
    elif act.kind == K.ACCEPT:
        accept(resolution, difference, store_id=act.store_id, actor=actor, now=now)
        resolution.save(update_fields=["payment", "refund"])
        match_again(account_id=run.account_id, day=run.day, now=now)
    elif act.kind == K.LINK:
        _link(resolution, difference, act)
        match_again(account_id=run.account_id, day=run.day, now=now)
    _record(
        resolution,
        difference,
        actor=actor,
        now=now,
        state=resolution.state,
        rule=rule.number if rule else None,
        adjustment=resolution.adjustment_id,
        payment=resolution.payment_id,
        refund=resolution.refund_id,
    )
    show(**place)
    show_target(resolution)
    return resolution


def _link(resolution: Resolution, difference: Difference, act: Act) -> None:
    """Note which of ours the bill row is: of the same account and kind, and not another row's already."""
    line = difference.line
    account_id = difference.run.account_id
    if line is None or (act.payment_id is None) == (act.refund_id is None):
        raise CannotResolve("no_target")
    if (line.kind == "refund") != (act.refund_id is not None):
        raise CannotResolve("no_target")
    model: type[Payment | Refund] = Refund if act.refund_id is not None else Payment
    chosen = act.refund_id or act.payment_id or 0
    # Held, so that of two rows that are linked to it at once the second finds it linked.
    targets = model.objects.filter(pk=chosen, account_id=account_id, currency=line.currency)
    if not targets.select_for_update(no_key=True, of=("self",)).exists():
        raise CannotResolve("no_target")
    links = Resolution.objects.filter(kind=K.LINK, state=ResolutionState.DONE)
    ours = links.filter(refund_id=chosen) if act.refund_id else links.filter(payment_id=chosen)
    if ours.exists():
        raise CannotResolve("linked")
    # What waits for confirmation is void from here on, see ``lapsing``; what is booked would be in the books twice.
    side = {"refund_id": chosen} if act.refund_id else {"payment_id": chosen, "refund": None}
    alone = Difference.objects.filter(run__is_current=True, run__account_id=account_id, line=None)
    if alone.filter(**side).exclude(adjusted_minor=0).exists():
        raise CannotResolve("booked")
    resolution.payment_id = act.payment_id
    resolution.refund_id = act.refund_id
    resolution.line_key = line_key(line)
    resolution.save(update_fields=["payment", "refund", "line_key"])


@transaction.atomic
def assign_difference(
    *,
    difference_id: int,
    owner_id: int | None,
    member: User,
    actor: Actor,
    now: datetime,
    bulk: BulkAct | None = None,
) -> Resolution:
    """Give a difference to a member who may settle it, or to nobody. Raises CannotResolve, Difference.DoesNotExist."""
    difference = _locked(difference_id)
    owner = None
    if owner_id is not None:
        owner = next((user for user in possible_owners() if user.pk == owner_id), None)
        if owner is None:
            raise CannotResolve("no_member")
    if not difference.run.is_current:
        raise CannotResolve("old_run")
    resolution = _write(
        difference, kind=K.ASSIGN, member=member, assignee=owner, bulk=bulk, now=now
    )
    Difference.objects.filter(pk=difference.pk).update(assigned_to=owner)
    _record(
        resolution, difference, actor=actor, now=now, owner=owner.display_name if owner else None
    )
    return resolution


@transaction.atomic
def comment_difference(
    *, difference_id: int, text: str, member: User, actor: Actor, now: datetime
) -> Resolution:
    """Say something about a difference, whatever its state. Raises CannotResolve, Difference.DoesNotExist."""
    difference = _locked(difference_id)
    if not text.strip():
        raise CannotResolve("no_reason")
    resolution = _write(
        difference, kind=K.COMMENT, reason=text.strip()[:1000], member=member, now=now
    )
    _record(resolution, difference, actor=actor, now=now)
    return resolution
