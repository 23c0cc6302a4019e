"""Payments and refunds of the past, written straight into the books."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction

from apps.simulator.books.numbers import fee_of, returned_fee
from apps.simulator.models import Merchant, Order, OrderState, Refund, RefundState


@dataclass(frozen=True, slots=True, kw_only=True)
class PastPayment:
    """A payment to write straight into the books, for history."""

    out_trade_no: str
    trade_no: str
    product: str
    amount_fen: int
    paid_at: datetime
    payer_id: str = ""
    description: str = ""
    fee_fen: int | None = None
    #: An aggregator's: who paid, and at which terminal.
    wallet: str = ""
    terminal_sn: str = ""
    #: Alipay's: the shop and the device, as whoever took the money named them.
    store_id: str = ""
    terminal_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRefund:
    """A refund to write straight into the books; ``finished_at`` None leaves it PROCESSING for ever."""

    out_trade_no: str
    out_refund_no: str
    refund_no: str
    amount_fen: int
    accepted_at: datetime
    finished_at: datetime | None


class BadHistory(ValueError):
    """The history contradicts itself or the books: unknown order, number used, over-refund."""


@transaction.atomic
def add_history(
    *, merchant: Merchant, payments: Iterable[PastPayment], refunds: Iterable[PastRefund]
) -> tuple[int, int]:
    """Write past payments and refunds in bulk, without notices. All or nothing; raises BadHistory."""
    orders = [_past_order(merchant, past) for past in payments]
    try:
        with transaction.atomic():
            Order.objects.bulk_create(orders, batch_size=500)
    except IntegrityError as error:
        raise BadHistory("an order number or trade number is already in the books") from error
    wanted = list(refunds)
    by_no = {order.out_trade_no: order for order in orders}
    missing = sorted({past.out_trade_no for past in wanted} - set(by_no))
    for start in range(0, len(missing), 500):
        chunk = missing[start : start + 500]
        known = Order.objects.filter(merchant=merchant, out_trade_no__in=chunk)
        for order in known.prefetch_related("refunds"):
            by_no[order.out_trade_no] = order
    refunded: dict[str, int] = {}
    for no in missing:
        if no not in by_no:
            raise BadHistory(f"refund of an unknown order {no}")
        refunded[no] = by_no[no].refunded_fen
    rows = []
    for past in sorted(wanted, key=lambda one: one.accepted_at):
        order = by_no[past.out_trade_no]
        before = refunded.get(past.out_trade_no, 0)
        if order.state != OrderState.PAID or before + past.amount_fen > order.amount_fen:
            raise BadHistory(f"order {past.out_trade_no} cannot be refunded {past.amount_fen} fen")
        refunded[past.out_trade_no] = before + past.amount_fen
        rows.append(_past_refund(merchant, order, past, before))
    try:
        with transaction.atomic():
            Refund.objects.bulk_create(rows, batch_size=500)
    except IntegrityError as error:
        raise BadHistory("a refund number is already in the books") from error
    return len(orders), len(rows)


def _past_order(merchant: Merchant, past: PastPayment) -> Order:
    fee = past.fee_fen
    return Order(
        platform=merchant.platform,
        merchant=merchant,
        out_trade_no=past.out_trade_no,
        trade_no=past.trade_no,
        product=past.product,
        amount_fen=past.amount_fen,
        description=past.description,
        state=OrderState.PAID,
        payer_id=past.payer_id,
        fee_fen=fee_of(past.amount_fen, merchant.rate_ppm) if fee is None else fee,
        created_at=past.paid_at,
        expires_at=past.paid_at + timedelta(days=7),
        paid_at=past.paid_at,
        wallet=past.wallet,
        extra={
            "history": True,
            **{name: value for name, value in _where(past).items() if value},
        },
    )


def _where(past: PastPayment) -> dict[str, str]:
    return {
        "terminal_sn": past.terminal_sn,
        "store_id": past.store_id,
        "terminal_id": past.terminal_id,
    }


def _past_refund(merchant: Merchant, order: Order, past: PastRefund, before: int) -> Refund:
    done = past.finished_at is not None
    return Refund(
        order=order,
        merchant=merchant,
        out_refund_no=past.out_refund_no,
        refund_no=past.refund_no,
        amount_fen=past.amount_fen,
        fee_fen=returned_fee(
            fee_fen=order.fee_fen,
            amount_fen=order.amount_fen,
            before_fen=before,
            refund_fen=past.amount_fen,
        ),
        state=RefundState.SUCCESS if done else RefundState.PROCESSING,
        created_at=past.accepted_at,
        finish_at=past.finished_at,
        finished_at=past.finished_at,
    )
