"""Opening and closing a cashier's shift."""

from __future__ import annotations

from datetime import datetime

from django.db import IntegrityError, transaction

from apps.accounts.models import User
from apps.checkout.models import Shift, ShiftTotal
from apps.checkout.selectors.shifts import add_up, open_shift_of
from apps.core import audit
from apps.core.audit import Actor


def open_shift(*, store_id: int, member: User, note: str, now: datetime, actor: Actor) -> Shift:
    """The member's open shift: a new one, or the one that is open already, in whatever store.

    ``store_id`` is the caller's to check.
    """
    try:
        with transaction.atomic():
            shift: Shift = Shift.objects.create(
                store_id=store_id, member=member, opened_at=now, opening_note=note
            )
            audit.record(
                action="shift.opened",
                subject_kind="shift",
                subject_id=shift.pk,
                actor=actor,
                at=now,
                store_id=store_id,
            )
            return shift
    except IntegrityError:
        # Another tab, or another tap: the partial unique key let one through.
        earlier = open_shift_of(member)
        if earlier is None:
            raise
        return earlier


@transaction.atomic
def close_shift(*, shift_id: int, note: str, now: datetime, actor: Actor) -> Shift:
    """Close a shift and write down what it added up to. Closing it again changes nothing.

    Whoever calls has checked whose it is. Raises Shift.DoesNotExist.
    """
    shift: Shift = Shift.objects.select_for_update().get(pk=shift_id)
    if shift.closed_at is not None:
        return shift
    return write_close(shift, note=note, now=now, actor=actor)


def write_close(shift: Shift, *, note: str, now: datetime, actor: Actor) -> Shift:
    """The close of a shift that is known to be open, under the lock that ``close_shift`` holds."""
    shift.closed_at = max(now, shift.opened_at)
    shift.closing_note = note
    shift.save(update_fields=["closed_at", "closing_note"])
    sums = add_up(shift, until=shift.closed_at)
    ShiftTotal.objects.bulk_create(
        ShiftTotal(
            shift=shift,
            wallet=row.wallet,
            paid_count=row.paid_count,
            paid_minor=row.paid_minor,
            refund_count=row.refund_count,
            refund_minor=row.refund_minor,
        )
        for row in sums.rows
    )
    audit.record(
        action="shift.closed",
        subject_kind="shift",
        subject_id=shift.pk,
        actor=actor,
        at=now,
        store_id=shift.store_id,
        data={
            "paid_count": sums.paid_count,
            "paid_minor": sums.paid_minor,
            "refund_count": sums.refund_count,
            "refund_minor": sums.refund_minor,
        },
    )
    return shift
