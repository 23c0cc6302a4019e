"""Taking the platform's word for what a bill says: our state is repaired through the services that believe it elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from apps.core.audit import Actor
from apps.core.money import Money
from apps.ledger.services import NoOpenDay
from apps.merchants.models import Store
from apps.payments.models import Payment, Source
from apps.payments.services import ResultMismatch, apply_payment_result
from apps.platforms.gateway import LineKind, Outcome, PaymentResult, RefundResult
from apps.reconciliation.models import Difference, Resolution
from apps.reconciliation.selectors.offers import stores_serving
from apps.reconciliation.selectors.outside import UNKNOWN
from apps.reconciliation.services.outside import book_outside
from apps.reconciliation.services.resolving.refusal import CannotResolve
from apps.refunds.models import Refund
from apps.refunds.services import apply_refund_result
from apps.statements.models import Statement, StatementLine

#: Why a row was not booked, where there is a sentence for it; else ``not_booked`` tells it by outside money's own words.
_LEFT: Final[Mapping[str, str]] = {
    "no_day": "no_open_day",
    "no_payment": "no_payment",
    "not_paid": "no_payment",
    "too_much": "over_refund",
}


def store_for(difference: Difference, store_id: int | None) -> Store:
    """The shop that an accepted payment is booked in: the one named, else the first that its account serves.

    Raises CannotResolve where there is none.
    """
    stores = stores_serving(difference.run.account)
    chosen = [store for store in stores if store_id in {None, store.pk}]
    if not chosen:
        raise CannotResolve("no_store")
    return chosen[0]


def accept(
    resolution: Resolution,
    difference: Difference,
    *,
    store_id: int | None,
    actor: Actor,
    now: datetime,
) -> None:
    """Make our side what the bill says; the resolution names what was repaired. Raises CannotResolve."""
    line = difference.line
    if line is None:
        raise CannotResolve("kind")
    if not Statement.objects.filter(pk=line.statement_id, is_current=True).exists():
        raise CannotResolve("new_bill")
    payment, refund = difference.payment, difference.refund
    if difference.type in UNKNOWN:
        payment, refund = known_by_number(line, account_id=difference.run.account_id)
    try:
        if payment is None and refund is None:
            believed = _book(resolution, difference, line, store_id=store_id, actor=actor, now=now)
        else:
            resolution.refund, resolution.payment = refund, None if refund else payment
            believed = _believe(line, payment=payment, refund=refund, actor=actor, now=now)
    except ResultMismatch as error:
        raise CannotResolve("mismatch", ours=error.ours, theirs=error.theirs) from error
    except NoOpenDay as error:
        raise CannotResolve("no_open_day") from error
    if not believed:
        raise CannotResolve("not_believed")


def known_by_number(
    line: StatementLine, *, account_id: int
) -> tuple[Payment | None, Refund | None]:
    """What a bill row that was not known became since: accepted (and perhaps taken back), by the platform's number."""
    if line.kind == LineKind.REFUND:
        refunds = Refund.objects.filter(account_id=account_id, source=Source.PLATFORM)
        number = line.platform_refund_no
        found = refunds.filter(platform_refund_no=number).select_related("payment").first()
        return None, found if number else None
    payments = Payment.objects.filter(account_id=account_id)
    number = line.platform_trade_no
    return (payments.filter(platform_trade_no=number).first() if number else None), None


def _book(
    resolution: Resolution,
    difference: Difference,
    line: StatementLine,
    *,
    store_id: int | None,
    actor: Actor,
    now: datetime,
) -> bool:
    """Book the row as money that began at the platform, as a rule for outside money would."""
    is_refund = line.kind == LineKind.REFUND
    store = None if is_refund else store_for(difference, store_id)
    made = book_outside(
        line_ids=[line.pk], store_id=store.pk if store else None, actor=actor, now=now
    )
    if not made.count:
        why = next(iter(made.left), "known")
        raise CannotResolve(_LEFT.get(why, "not_booked"), why=why)
    rows = {"account_id": difference.run.account_id, "source": Source.PLATFORM}
    if is_refund:
        resolution.refund = Refund.objects.filter(
            **rows, amount_minor=line.amount_minor, refunded_at=line.occurred_at
        ).latest("pk")
    else:
        resolution.payment = Payment.objects.filter(
            **rows, amount_minor=line.amount_minor, paid_at=line.occurred_at
        ).latest("pk")
    return True


def _believe(
    line: StatementLine,
    *,
    payment: Payment | None,
    refund: Refund | None,
    actor: Actor,
    now: datetime,
) -> bool:
    """What is not done by our books is done: the platform's bill says so."""
    amount = Money(line.amount_minor, line.currency)
    if refund is not None:
        return apply_refund_result(
            refund_id=refund.pk,
            result=RefundResult(
                outcome=Outcome.SUCCEEDED,
                order_no=refund.payment.order_no,
                refund_no=refund.refund_no,
                platform_refund_no=line.platform_refund_no or None,
                amount=amount,
                refunded_at=line.occurred_at,
            ),
            via="bill",
            now=now,
            actor=actor,
        )
    if payment is None:
        raise CannotResolve("kind")
    return apply_payment_result(
        payment_id=payment.pk,
        result=PaymentResult(
            outcome=Outcome.SUCCEEDED,
            order_no=payment.order_no,
            platform_trade_no=line.platform_trade_no or None,
            amount=amount,
            paid_at=line.occurred_at,
        ),
        via="bill",
        now=now,
        actor=actor,
    )
