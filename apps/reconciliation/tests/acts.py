"""Doing something about differences in tests, in few words."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from apps.approvals.services import decide
from apps.approvals.subjects import subject_for
from apps.core.money import Money
from apps.ledger.models import Adjustment, BusinessDay
from apps.ledger.selectors import trial_balance
from apps.ledger.services import set_limit
from apps.merchants.roles import permissions_of
from apps.merchants.tests.factories import NOW, Shop
from apps.reconciliation.models import Difference, Resolution, ResolutionKind
from apps.reconciliation.services import Act, resolve_difference, undo_resolution
from apps.reconciliation.tests.days import ACTOR


def do(
    shop: Shop,
    row: Difference,
    kind: str,
    *,
    role: str = "finance",
    now: datetime = NOW,
    **given: Any,
) -> Resolution:
    """A member settles a difference."""
    act = Act(kind=ResolutionKind(kind), **{"reason": "查过了", **given})
    made = resolve_difference(
        difference_id=row.pk, act=act, member=shop[role], actor=ACTOR, now=now
    )
    row.refresh_from_db()
    return made


def undo(
    shop: Shop, made: Resolution, row: Difference, *, role: str = "finance", now: datetime = NOW
) -> Resolution:
    """A member takes it back."""
    undone = undo_resolution(resolution_id=made.pk, member=shop[role], actor=ACTOR, now=now)
    row.refresh_from_db()
    return undone


def decided(shop: Shop, adjustment: Adjustment | None, *, yes: bool = True) -> None:
    """The owner confirms or refuses what waits."""
    assert adjustment is not None
    adjustment.refresh_from_db()
    decide(
        approval_id=adjustment.approval_id or 0,
        member=shop["owner"],
        permissions=permissions_of("owner", all_stores=True),
        approved=yes,
        digest=subject_for("adjustment").digest(adjustment.pk),
        reason="" if yes else "不对",
        second_factor=False,
        actor=ACTOR,
        now=NOW,
    )


def may_adjust(minor: int = 100_000_000) -> None:
    """Adjustments up to so many fen need nobody else."""
    set_limit(limit=Money(minor), member=None, actor=ACTOR, now=NOW)


def balances() -> dict[str, int]:
    """What the accounts hold, by purpose, zeros left out; debits positive."""
    found: dict[str, int] = {}
    for row in trial_balance():
        found[row.account.purpose] = found.get(row.account.purpose, 0) + row.amount_minor
    return {purpose: minor for purpose, minor in found.items() if minor}


def close_day(row: Difference) -> None:
    """Close the business day of a difference's run."""
    BusinessDay.objects.update_or_create(
        day=row.run.day, merchant_id=row.merchant_id, defaults={"is_closed": True}
    )
