"""What can be done about a difference, and what it would do."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from apps.core import clock
from apps.core.tenancy import current_merchant_id
from apps.ledger.models import Purpose
from apps.ledger.selectors import current_limit, day_for
from apps.merchants.models import Merchant, Store
from apps.payments.models import Payment
from apps.platforms.models import PlatformAccount
from apps.platforms.selectors import list_stores, stores_of
from apps.reconciliation.models import (
    Difference,
    DifferenceState,
    DifferenceType,
    ReconciliationRun,
    ResolutionKind,
    WriteOffLimit,
)
from apps.refunds.models import Refund

T, K = DifferenceType, ResolutionKind

#: What may settle a difference of each type; those that need nobody are not here.
CHOICES: Final[Mapping[DifferenceType, tuple[ResolutionKind, ...]]] = {
    T.MISSING_HERE: (K.ACCEPT, K.LINK, K.KEEP, K.ADJUST, K.WRITE_OFF),
    T.UNKNOWN_REFUND: (K.ACCEPT, K.LINK, K.KEEP, K.ADJUST, K.WRITE_OFF),
    T.STATUS: (K.ACCEPT, K.KEEP, K.ADJUST, K.WRITE_OFF),
    T.AMOUNT: (K.ACCEPT, K.KEEP, K.ADJUST, K.WRITE_OFF),
    T.FEE: (K.ACCEPT, K.KEEP, K.ADJUST, K.WRITE_OFF),
    T.MISSING_THERE: (K.KEEP, K.ADJUST, K.WRITE_OFF),
    T.DUPLICATE: (K.KEEP, K.ADJUST, K.WRITE_OFF),
    T.WRONG_ACCOUNT: (K.KEEP, K.ADJUST),
    T.CURRENCY: (K.KEEP,),
    T.LATE: (K.KEEP,),
    T.OVERBOOKED: (K.ADJUST, K.WRITE_OFF, K.KEEP),
}
#: Accepting these books the gap: what is agreed on is the amount, not that it happened.
ACCEPTED_BY_BOOKING: Final = (T.AMOUNT, T.FEE)
#: What a correction may be booked against.
PURPOSES: Final = (
    Purpose.ADJUSTMENTS,
    Purpose.SALES,
    Purpose.REFUNDS,
    Purpose.FEES,
    Purpose.SUSPENSE,
)


def books(kind: str, difference_type: str) -> bool:
    """Whether this act is a booking in the ledger."""
    return kind in {K.ADJUST, K.WRITE_OFF} or (
        kind == K.ACCEPT and difference_type in ACCEPTED_BY_BOOKING
    )


def permission_for(kind: str, difference_type: str) -> str:
    """Who may do it. Booking by hand is for those who may adjust the books; a write-off has its limit instead."""
    if kind != K.WRITE_OFF and books(kind, difference_type):
        return "ledger.adjust"
    return "reconciliation.manage"


def usual_purpose(difference: Difference) -> Purpose:
    """What a correction of this difference is booked against where nobody says otherwise."""
    if difference.type == T.FEE:
        return Purpose.FEES
    if difference.type == T.AMOUNT:
        return Purpose.REFUNDS if difference.refund_id else Purpose.SALES
    return Purpose.SUSPENSE if difference.type == T.WRONG_ACCOUNT else Purpose.ADJUSTMENTS


def moment_of(run: ReconciliationRun, now: datetime) -> datetime:
    """An instant of the run's business day to book at: its last second, or now while it is not over."""
    starts = Merchant.objects.values_list("day_starts_at", flat=True).get(pk=current_merchant_id())
    begins, ends = clock.business_period(run.day, starts)
    return max(begins, min(now, ends - timedelta(seconds=1)))


def write_off_limit() -> WriteOffLimit:
    """The limit in force; until the merchant sets one it is version 0: nothing is written off."""
    last: WriteOffLimit | None = (
        WriteOffLimit.objects.select_related("created_by").order_by("-version").first()
    )
    return last or WriteOffLimit(version=0, limit_minor=0)


def stores_serving(account: PlatformAccount) -> list[Store]:
    """The shops that an account serves, by name: chosen ones, or all."""
    return stores_of(account) or list_stores()


def payment_of_line(difference: Difference) -> Payment | None:
    """The payment of the same account that a bill's refund row gives back, by the platform's number, then by ours."""
    line = difference.line
    if line is None:
        return None
    rows = Payment.objects.filter(account_id=difference.run.account_id)
    found = None
    if line.platform_trade_no:
        found = rows.filter(platform_trade_no=line.platform_trade_no).first()
    if found is None and line.order_no:
        found = rows.filter(order_no=line.order_no).first()
    return found


def unfit(difference: Difference, kind: str, *, limit: WriteOffLimit) -> str:
    """Why this act does not fit the difference as it is, as a code of ``CannotResolve``; "" where it does."""
    choices: Collection[str] = CHOICES.get(DifferenceType(difference.type), ())
    if not difference.run.is_current or difference.identity is None:
        return "old_run"
    if difference.state != DifferenceState.OPEN:
        return "settled"
    if kind not in choices:
        return "kind"
    if (
        difference.adjusted_minor
        and kind in {K.ACCEPT, K.LINK}
        and not books(kind, difference.type)
    ):
        return "booked"
    if books(kind, difference.type) and not difference.rest_minor:
        return "nothing_to_book"
    if kind == K.WRITE_OFF and abs(difference.rest_minor) > limit.limit_minor:
        return "above_limit" if limit.version else "no_limit"
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One act that fits the difference's type: ``refusal`` is why not now, a code, or "".

    ``amount_minor`` and ``booked_on``: what would be booked and on which business day, None where nothing is.
    ``waits``: another member would have to confirm.
    """

    kind: ResolutionKind
    refusal: str = ""
    amount_minor: int | None = None
    booked_on: date | None = None
    waits: bool = False


def offers_of(difference: Difference, *, now: datetime) -> list[Offer]:
    """Every act that makes sense for the type of a difference, in the order in which they are offered."""
    limit = write_off_limit()
    found = []
    for kind in CHOICES.get(DifferenceType(difference.type), ()):
        refusal = unfit(difference, kind, limit=limit)
        found.append(_offer(difference, kind, refusal, now=now))
    return found


def offer_of(difference: Difference, kind: str, *, now: datetime) -> Offer | None:
    """One of them; None where it makes no sense for this type."""
    return next((offer for offer in offers_of(difference, now=now) if offer.kind == kind), None)


def _offer(difference: Difference, kind: ResolutionKind, refusal: str, *, now: datetime) -> Offer:
    line = difference.line
    if books(kind, difference.type):
        amount = difference.rest_minor
        return Offer(
            kind=kind,
            refusal=refusal,
            amount_minor=amount,
            booked_on=day_for(moment_of(difference.run, now)),
            waits=kind != K.WRITE_OFF and abs(amount) > current_limit().limit_minor,
        )
    if kind == K.ACCEPT and line is not None:
        if not refusal and difference.type == T.UNKNOWN_REFUND:
            payment = payment_of_line(difference)
            if payment is None:
                refusal = "no_payment"
        return Offer(
            kind=kind,
            refusal=refusal,
            amount_minor=line.amount_minor,
            booked_on=day_for(line.occurred_at),
        )
    return Offer(kind=kind, refusal=refusal)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One of ours that a bill row may be: a payment or a refund. ``minor`` is its amount in positive fen."""

    payment: Payment | None = None
    refund: Refund | None = None

    @property
    def key(self) -> str:
        """How a form names it."""
        return f"r{self.refund.pk}" if self.refund else f"p{self.payment.pk if self.payment else 0}"

    @property
    def minor(self) -> int:
        """Its amount, in positive fen."""
        row = self.refund or self.payment
        return row.amount_minor if row else 0


def candidates_for(difference: Difference, *, limit: int = 20) -> list[Candidate]:
    """What of ours that no bill has a row may be linked to: those of the account whose amount and time are nearest."""
    line = difference.line
    if line is None:
        return []
    is_refund = line.kind == "refund"
    rows = Difference.objects.filter(
        run__account_id=difference.run.account_id,
        run__is_current=True,
        line__isnull=True,
        type__in=[T.MISSING_THERE, T.LATE, T.EXPECTED],
        state__in=[DifferenceState.OPEN, DifferenceState.EXPLAINED],
        refund__isnull=not is_refund,
    ).select_related("payment", "refund__payment")
    signed = -line.amount_minor if is_refund else line.amount_minor

    def far(row: Difference) -> tuple[int, float]:
        at = row.refund.accepted_at if row.refund else row.payment.paid_at if row.payment else None
        apart = abs((at - line.occurred_at).total_seconds()) if at else 0.0
        return abs((row.our_minor or 0) - signed), apart

    near = sorted(rows.order_by("-pk")[:500], key=far)[:limit]
    return [Candidate(payment=row.payment, refund=row.refund) for row in near]
