"""Closing a business day: the checklist, then the ledger's lock, then the day's files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from django.db import transaction

from apps.accounts.models import User
from apps.core import audit, clock, live, outbox
from apps.core.audit import Actor
from apps.core.tenancy import current_merchant_id
from apps.ledger import services as ledger
from apps.merchants.models import Merchant
from apps.reconciliation import day_files
from apps.reconciliation.models import DayClose
from apps.reconciliation.selectors.checklist import Check, Checklist, Item, Mark, check_day

#: The task that writes the files of a closing.
WRITE_TASK: Final = "reconciliation.write_day_files"
CLOSE_PERMISSION: Final = "days.close"


class NotReady(Exception):
    """The checklist does not allow it: ``checks`` are the blocking items and the warnings that nobody accepted as they are."""

    def __init__(self, checks: list[Check]) -> None:
        super().__init__(", ".join(check.item for check in checks))
        self.checks = checks


@dataclass(frozen=True, slots=True)
class Tick:
    """A warning accepted by a person: why, and of how many rows it warned then."""

    reason: str
    count: int


@transaction.atomic
def close_day(
    *, day: date, ticks: Mapping[Item, Tick], member: User | None, actor: Actor, now: datetime
) -> DayClose:
    """Close a business day of the merchant; ``member`` None is the portal itself.

    Holds the day first, so that what it reads is what the day will always hold: payments under way land in it before, or in
    the next open day after. The files are written by a task that follows. Raises NotReady, and ``ledger.DayClosed`` where
    the day is closed already; nothing is changed then.
    """
    held = ledger.hold_day(day)
    if held.is_closed:
        raise ledger.DayClosed(str(day))
    merchant = Merchant.objects.get(pk=current_merchant_id())
    found = check_day(day, day_starts_at=merchant.day_starts_at, now=now)
    left = [
        *found.blocking,
        *(check for check in found.warnings if not _accepted(check, ticks)),
    ]
    if left:
        raise NotReady(left)
    close = DayClose.objects.create(
        day=day,
        version=ledger.close_day(day, now=now),
        closed_by=member,
        closed_at=now,
        zone=clock.CHINA.key,
        day_starts_at=merchant.day_starts_at,
        run_ids=list(found.run_ids),
        matched_count=found.matched_count,
        difference_count=found.difference_count,
        checklist=_told(found, ticks),
        file_names=list(day_files.makers()),
        **control_sums(found),
    )
    audit.record(
        action="day.closed",
        subject_kind="day_close",
        subject_id=close.pk,
        actor=actor,
        at=now,
        data={
            "day": day.isoformat(),
            "version": close.version,
            **control_sums(found),
            "accepted": {
                check.item.value: ticks[check.item].reason[:200] for check in found.warnings
            },
        },
    )
    outbox.enqueue(task=WRITE_TASK, merchant_id=close.merchant_id, subject_id=close.pk, due_at=now)
    live.publish(kind="day", subject_id=close.pk, store_id=None)
    return close


def _accepted(check: Check, ticks: Mapping[Item, Tick]) -> bool:
    tick = ticks.get(check.item)
    return tick is not None and bool(tick.reason.strip()) and tick.count == check.count


def control_sums(found: Checklist) -> dict[str, int]:
    """The figures that stay with a closing."""
    sums = found.sums
    return {
        "payment_count": sums.payment_count,
        "payment_minor": sums.payment_minor,
        "refund_count": sums.refund_count,
        "refund_minor": sums.refund_minor,
        "fee_minor": sums.fee_minor,
        "entry_count": sums.entry_count,
        "debit_minor": sums.debit_minor,
    }


def _told(found: Checklist, ticks: Mapping[Item, Tick]) -> list[dict[str, Any]]:
    return [
        {
            "item": check.item.value,
            "mark": check.mark.value,
            "count": check.count,
            **({"reason": ticks[check.item].reason[:200]} if check.mark == Mark.WARNING else {}),
        }
        for check in found.checks
    ]
