"""Corrections that wait for a second person, and whose difference changed or went away meanwhile: they are void.

Locks are taken in one order everywhere: the day, ours, then the ledger's rows (approval, adjustment), then the resolution.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from django.db.models import Exists, OuterRef
from django.utils.translation import gettext as _

from apps.approvals.subjects import NotNow
from apps.core.audit import Actor
from apps.ledger.services import cancel_adjustment
from apps.payments.models import Payment, PaymentState
from apps.platforms.gateway import StatementKind
from apps.reconciliation.models import (
    Difference,
    DifferenceType,
    ReconciliationRun,
    Resolution,
    ResolutionKind,
    ResolutionState,
)
from apps.reconciliation.selectors.outside import UNKNOWN
from apps.reconciliation.services.resolving.accepting import known_by_number
from apps.reconciliation.services.resolving.standing import hold_day, is_about, match_again
from apps.refunds.models import Refund, RefundState
from apps.statements.selectors import current_statement

#: Codes of ``acts.LAPSES``.
GONE: Final = "difference_gone"
CHANGED: Final = "difference_changed"
LINKED: Final = "difference_linked"

_REFUND_COUNTS: Final = (RefundState.SUCCEEDED, RefundState.PROCESSING, RefundState.ABNORMAL)


def _row(resolution: Resolution) -> Difference | None:
    """What the run that counts now says about the same thing."""
    found: Difference | None = (
        Difference.objects.filter(
            run__account_id=resolution.account_id,
            run__day=resolution.day,
            run__is_current=True,
            identity=resolution.identity,
        )
        .select_related("run", "line", "payment", "refund")
        .first()
    )
    return found


def hold_resolution(resolution_id: int) -> None:
    """Hold what a decision about its correction rests on: the day is neither matched nor given a new bill, ours stays as it is.

    Raises Resolution.DoesNotExist.
    """
    resolution = Resolution.objects.get(pk=resolution_id)
    hold_day(account_id=resolution.account_id, day=resolution.day)
    row = _row(resolution)
    if row is None:
        return
    ours: type[Payment | Refund] = Refund if row.refund_id is not None else Payment
    # Linking a bill row by hand holds ours in the same way.
    held = ours.objects.select_for_update(no_key=True, of=("self",))
    held.filter(pk=row.refund_id or row.payment_id or 0).first()


def why_lapsed(resolution: Resolution) -> str:
    """Why its correction would settle nothing any more, as a code; "" while it would. To be asked under ``hold_resolution``.

    Raises NotNow where a bill is there that was not matched yet: until then nobody knows.
    """
    row = _row(resolution)
    if _is_linked(resolution, row):
        return LINKED
    if row is None:
        return GONE
    bill = current_statement(
        account_id=resolution.account_id, kind=StatementKind.TRADE.value, day=resolution.day
    )
    if (bill.pk if bill else None) != row.run.statement_id:
        raise NotNow(
            _(
                "A newer bill of that day is here and being matched. Decide once that is done; it takes a minute or two."
            )
        )
    if not is_about(resolution, row):
        return CHANGED
    return "" if _ours_stands(row) else GONE


def _is_linked(resolution: Resolution, row: Difference | None) -> bool:
    """Whether ours, which no bill row was found for, is another difference's bill row since."""
    said = row or Difference.objects.filter(pk=resolution.difference_id).first()
    if said is None or said.line_id is not None:
        return False
    links = Resolution.objects.filter(kind=ResolutionKind.LINK, state=ResolutionState.DONE)
    if said.refund_id is not None:
        return links.filter(refund_id=said.refund_id).exists()
    return said.payment_id is not None and links.filter(payment_id=said.payment_id).exists()


def _counts(payment: Payment | None, refund: Refund | None) -> bool:
    if refund is not None:
        return refund.state in _REFUND_COUNTS
    return payment is not None and payment.state == PaymentState.SUCCEEDED


def _ours_stands(row: Difference) -> bool:
    """Whether our side is still what matching found: it moves by notifications and by people, and no run follows at once."""
    if row.type == DifferenceType.STATUS:
        return not _counts(row.payment, row.refund)
    if row.type in UNKNOWN and row.line is not None:
        return not _counts(*known_by_number(row.line, account_id=row.run.account_id))
    return row.our_minor is None or _counts(row.payment, row.refund)


def end_lapsed(run: ReconciliationRun, *, actor: Actor, now: datetime) -> int:
    """Void the waiting corrections whose difference a new run does not have as it was; how many.

    To be called by the matching that holds the day, after its differences are stored.
    """
    kept = Difference.objects.filter(run=run, resolution_id=OuterRef("pk"))
    waiting = Resolution.objects.filter(
        ~Exists(kept), account_id=run.account_id, day=run.day, state=ResolutionState.WAITING
    ).order_by("pk")
    ended = list(waiting.exclude(adjustment=None))
    for resolution in ended:
        cancel_adjustment(
            adjustment_id=resolution.adjustment_id or 0,
            actor=actor,
            now=now,
            reason=why_lapsed(resolution) or CHANGED,
        )
    if any(resolution.type in UNKNOWN for resolution in ended):
        # Its bill row was kept from being booked as outside money while the correction waited.
        match_again(account_id=run.account_id, day=run.day, now=now)
    return len(ended)
