"""The platforms' books: orders, payments, refunds and fees, moved by conditional UPDATEs.

Used by both platforms' APIs, the wallet and the control pages. Amounts are integer fen; ``now`` is
the simulated instant (``clock.now()``), aware UTC. Each function is its own transaction; notices are
queued in it and sent later by ``notifications``.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import QuerySet, Sum

from apps.simulator import clock, faults, notifications
from apps.simulator.models import (
    Merchant,
    NoticeKind,
    Order,
    OrderState,
    Platform,
    Refund,
    RefundState,
)
from apps.simulator.payers import Payer

MILLION = 1_000_000


class BooksError(Exception):
    """A platform's books refuse this. ``reason`` is a short English word for the caller to branch on."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class OrderNumberUsed(BooksError):
    """The merchant already has an order of this number."""


class NotPayable(BooksError):
    """The order cannot be paid: ``paid``, ``closed``, ``expired``, ``code_expired``, ``payer``, ``balance``."""


class NotClosable(BooksError):
    """The order cannot be closed: ``paid`` or ``closed``."""


class NotRefundable(BooksError):
    """No refund: ``unpaid``, ``over`` (more than is left) or ``number_used`` (number of another refund)."""


# --- numbers and fees -----------------------------------------------------------------------------


def _digits(count: int) -> str:
    return "".join(secrets.choice("0123456789") for _ in range(count))


def new_trade_no(platform: str, at: datetime) -> str:
    """A fresh platform trade number: 28 digits in the manner of each platform."""
    day = at.astimezone(clock.BEIJING).strftime("%Y%m%d")
    if platform == Platform.WECHATPAY:
        return f"4200002511{day}{_digits(10)}"
    return f"{day}22001{_digits(15)}"


def new_refund_no(platform: str, at: datetime) -> str:
    """A fresh platform refund number."""
    day = at.astimezone(clock.BEIJING).strftime("%Y%m%d")
    if platform == Platform.WECHATPAY:
        return f"50300002{day}{_digits(13)}"
    return f"{day}51001{_digits(17)}"


def fee_of(amount_fen: int, rate_ppm: int) -> int:
    """The fee on a payment in fen, rounded half up."""
    return (amount_fen * rate_ppm + MILLION // 2) // MILLION


def returned_fee(*, fee_fen: int, amount_fen: int, before_fen: int, refund_fen: int) -> int:
    """The fee that goes back with a refund: pro rata, rounded half up over the running total, so
    that refunds that add up to the payment return exactly its fee. ``before_fen`` was refunded before.
    """

    def total(refunded: int) -> int:
        return (2 * fee_fen * refunded + amount_fen) // (2 * amount_fen)

    return total(before_fen + refund_fen) - total(before_fen)


# --- finding --------------------------------------------------------------------------------------


def order_by_code(*, platform: str, code: str) -> Order | None:
    """The order of a code_url, qr_code, prepay_id …, or None; a replaced code finds nothing."""
    return Order.objects.filter(platform=platform, code_content=code).first()


def order_by_no(*, merchant: Merchant, out_trade_no: str) -> Order | None:
    """The merchant's order of that number, or None."""
    return Order.objects.filter(
        platform=merchant.platform, merchant=merchant, out_trade_no=out_trade_no
    ).first()


def order_by_trade_no(*, merchant: Merchant, trade_no: str) -> Order | None:
    """The merchant's order with that platform number, or None."""
    return Order.objects.filter(merchant=merchant, trade_no=trade_no).first()


# --- orders ---------------------------------------------------------------------------------------


@transaction.atomic
def create_order(
    *,
    merchant: Merchant,
    product: str,
    out_trade_no: str,
    amount_fen: int,
    now: datetime,
    expires_at: datetime,
    description: str = "",
    attach: str = "",
    notify_url: str = "",
    return_url: str = "",
    code_content: str | None = None,
    code_expires_at: datetime | None = None,
    trade_exists: bool = True,
    payer_id: str = "",
    payer_login: str = "",
    request: Mapping[str, Any] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Order:
    """Write a new unpaid order. Raises OrderNumberUsed."""
    try:
        with transaction.atomic():
            return Order.objects.create(
                platform=merchant.platform,
                merchant=merchant,
                out_trade_no=out_trade_no,
                trade_no=new_trade_no(merchant.platform, now),
                product=product,
                amount_fen=amount_fen,
                description=description,
                attach=attach,
                notify_url=notify_url,
                return_url=return_url,
                code_content=code_content,
                code_expires_at=code_expires_at,
                trade_exists=trade_exists,
                payer_id=payer_id,
                payer_login=payer_login,
                created_at=now,
                expires_at=expires_at,
                request=dict(request or {}),
                extra=dict(extra or {}),
            )
    except IntegrityError as error:
        raise OrderNumberUsed("number_used") from error


def replace_code(*, order: Order, code_content: str, code_expires_at: datetime) -> Order:
    """Give an unpaid order a new code; the old one is dead."""
    Order.objects.filter(pk=order.pk, state=OrderState.WAITING).update(
        code_content=code_content, code_expires_at=code_expires_at
    )
    order.refresh_from_db()
    return order


def scan_order(*, order: Order, now: datetime) -> Order:
    """A wallet has opened the code: from now on Alipay has a trade. Harmless to repeat."""
    refreshed = refresh(order=order, now=now)
    if refreshed.state == OrderState.WAITING:
        Order.objects.filter(pk=order.pk, trade_exists=False).update(trade_exists=True)
        refreshed.refresh_from_db()
    return refreshed


def pay_order(*, order: Order, payer: Payer, now: datetime) -> Order:
    """Pay as this wallet user, charge the fee and queue the notice. Raises NotPayable.

    With the fault ``notify_early`` the notice is delivered before this returns.
    """
    merchant = order.merchant
    payer_id = payer.openid(merchant.app_id) if _wechat(order) else payer.alipay_id
    with transaction.atomic():
        current = refresh(order=order, now=now)
        _check_payable(current, payer=payer, payer_id=payer_id, now=now)
        moved = Order.objects.filter(pk=order.pk, state=OrderState.WAITING).update(
            state=OrderState.PAID,
            trade_exists=True,
            paid_at=now,
            payer_id=payer_id,
            payer_login=payer.login,
            fee_fen=fee_of(order.amount_fen, merchant.rate_ppm),
        )
        current.refresh_from_db()
        if not moved:
            raise NotPayable(current.state.lower())
        notifications.enqueue(order=current, refund=None, kind=NoticeKind.PAID, now=now)
    notifications.deliver_early(order=current, now=now)
    return current


def _wechat(order: Order) -> bool:
    return order.platform == Platform.WECHATPAY


def _check_payable(order: Order, *, payer: Payer, payer_id: str, now: datetime) -> None:
    if order.state != OrderState.WAITING:
        expired = order.state == OrderState.CLOSED and order.extra.get("closed_by") == "expiry"
        raise NotPayable("expired" if expired else order.state.lower())
    if order.code_expires_at is not None and now >= order.code_expires_at:
        raise NotPayable("code_expired")
    if order.payer_id and order.payer_id != payer_id:
        raise NotPayable("payer")
    if payer.key == "poor":
        raise NotPayable("balance")


def abandon_order(*, order: Order, now: datetime) -> Order:
    """The payer leaves the wallet's cashier: the order stays unpaid; only a trace of it is kept."""
    with transaction.atomic():
        current = refresh(order=order, now=now)
        current.extra = {**current.extra, "abandoned_at": now.isoformat()}
        current.save(update_fields=["extra"])
    return current


def close_order(*, order: Order, now: datetime, by: str = "merchant") -> Order:
    """Close an unpaid order; queue the notice of it. Raises NotClosable."""
    with transaction.atomic():
        current = Order.objects.select_related("merchant").get(pk=order.pk)
        moved = Order.objects.filter(pk=order.pk, state=OrderState.WAITING).update(
            state=OrderState.CLOSED, closed_at=now, extra={**current.extra, "closed_by": by}
        )
        current.refresh_from_db()
        if not moved:
            raise NotClosable(current.state.lower())
        notifications.enqueue(order=current, refund=None, kind=NoticeKind.CLOSED, now=now)
    return current


def refresh(*, order: Order, now: datetime) -> Order:
    """The order as of now, read anew: closed if its time is over, its due refunds finished."""
    current = Order.objects.select_related("merchant").get(pk=order.pk)
    if current.state == OrderState.WAITING and current.expires_at <= now:
        try:
            current = close_order(order=current, now=current.expires_at, by="expiry")
        except NotClosable:
            current.refresh_from_db()
    if current.state == OrderState.PAID:
        settle_due(now=now, order=current)
    return current


def expire_due(*, now: datetime) -> int:
    """Close the orders whose time is over; returns how many."""
    closed = 0
    due = Order.objects.filter(state=OrderState.WAITING, expires_at__lte=now).order_by("expires_at")
    for order in due[:200]:
        try:
            close_order(order=order, now=order.expires_at, by="expiry")
        except NotClosable:
            continue
        closed += 1
    return closed


# --- refunds --------------------------------------------------------------------------------------


def create_refund(
    *,
    order: Order,
    out_refund_no: str,
    amount_fen: int,
    now: datetime,
    reason: str = "",
    notify_url: str = "",
    instant: bool = False,
    unique_in_merchant: bool = False,
    request: Mapping[str, Any] | None = None,
) -> Refund:
    """Accept a refund. It finishes after a while (``settings.SIMULATOR_REFUND_SECONDS``, faults
    ``refund_slow``, ``refund_abnormal``, ``refund_closed``), or at once when ``instant`` (Alipay).

    The number is unique within the order, with ``unique_in_merchant`` (WeChat Pay) within the merchant.
    Raises NotRefundable. The caller looks for a refund of the same number first.
    """
    outcome, finish_at = _refund_plan(order.platform, now=now, instant=instant)
    with transaction.atomic():
        current = refresh(order=order, now=now)
        if current.state != OrderState.PAID:
            raise NotRefundable("unpaid")
        if unique_in_merchant and Refund.objects.filter(
            merchant=current.merchant, out_refund_no=out_refund_no
        ):
            raise NotRefundable("number_used")
        before = current.refunded_fen
        if before + amount_fen > current.amount_fen:
            raise NotRefundable("over")
        try:
            with transaction.atomic():
                refund = Refund.objects.create(
                    order=current,
                    merchant=current.merchant,
                    out_refund_no=out_refund_no,
                    refund_no=new_refund_no(current.platform, now),
                    amount_fen=amount_fen,
                    fee_fen=returned_fee(
                        fee_fen=current.fee_fen,
                        amount_fen=current.amount_fen,
                        before_fen=before,
                        refund_fen=amount_fen,
                    ),
                    reason=reason,
                    notify_url=notify_url,
                    created_at=now,
                    finish_at=finish_at,
                    outcome=outcome,
                    request=dict(request or {}),
                )
        except IntegrityError as error:
            raise NotRefundable("number_used") from error
        if instant and outcome == RefundState.SUCCESS:
            _finish(refund, at=now)
    if finish_at is not None and notifications.is_early(order.platform):
        settle_due(now=max(now, finish_at), order=current, at=now)
        notifications.deliver_early(order=current, now=now, force=True)
    refund.refresh_from_db()
    return refund


def _refund_plan(
    platform: str, *, now: datetime, instant: bool
) -> tuple[RefundState, datetime | None]:
    outcome = RefundState.SUCCESS
    if faults.take("refund_abnormal", platform=platform) is not None:
        outcome = RefundState.ABNORMAL
    elif faults.take("refund_closed", platform=platform) is not None:
        outcome = RefundState.CLOSED
    seconds: float | None = 0.0 if instant else settings.SIMULATOR_REFUND_SECONDS
    slow = faults.take("refund_slow", platform=platform)
    if slow is not None:
        seconds = slow["seconds"]
    return outcome, None if seconds is None else now + timedelta(seconds=seconds)


def _finish(refund: Refund, *, at: datetime) -> bool:
    """Move one refund to its outcome and queue the notice; False if another did it before."""
    moved = Refund.objects.filter(pk=refund.pk, state=RefundState.PROCESSING).update(
        state=refund.outcome, finished_at=at
    )
    if not moved:
        return False
    refund.refresh_from_db()
    notifications.enqueue(order=refund.order, refund=refund, kind=NoticeKind.REFUNDED, now=at)
    return True


def settle_due(*, now: datetime, order: Order | None = None, at: datetime | None = None) -> int:
    """Finish the refunds that are due (of one order, or all); returns how many.

    They count as finished at their due time, or at ``at`` when given.
    """
    due = Refund.objects.filter(state=RefundState.PROCESSING, finish_at__lte=now)
    if order is not None:
        due = due.filter(order=order)
    finished = 0
    for refund in due.select_related("order__merchant").order_by("finish_at")[:500]:
        with transaction.atomic():
            finished += _finish(refund, at=at or refund.finish_at or now)
    return finished


def rescue_refund(*, refund: Refund, now: datetime) -> Refund:
    """An ABNORMAL refund is sent to another account and succeeds (WeChat Pay's abnormal refund)."""
    with transaction.atomic():
        moved = Refund.objects.filter(pk=refund.pk, state=RefundState.ABNORMAL).update(
            state=RefundState.PROCESSING,
            outcome=RefundState.SUCCESS,
            finish_at=now + timedelta(seconds=settings.SIMULATOR_REFUND_SECONDS),
            finished_at=None,
        )
    if not moved:
        raise NotRefundable("state")
    refund.refresh_from_db()
    return refund


# --- what the books say ---------------------------------------------------------------------------


def payments_of(merchant: Merchant, *, day: date | None = None) -> QuerySet[Order]:
    """Paid orders, oldest first; of one Beijing day (by payment time) when given."""
    orders = Order.objects.filter(merchant=merchant, state=OrderState.PAID)
    if day is not None:
        start, end = clock.beijing_period(day)
        orders = orders.filter(paid_at__gte=start, paid_at__lt=end)
    return orders.order_by("paid_at", "pk")


def refunds_of(merchant: Merchant, *, day: date | None = None) -> QuerySet[Refund]:
    """Accepted refunds, oldest first; of one Beijing day (by acceptance) when given."""
    refunds = Refund.objects.filter(merchant=merchant).select_related("order")
    if day is not None:
        start, end = clock.beijing_period(day)
        refunds = refunds.filter(created_at__gte=start, created_at__lt=end)
    return refunds.order_by("created_at", "pk")


@dataclass(frozen=True, slots=True, kw_only=True)
class BookTotals:
    """Sums of a merchant's books; refunds that were closed do not count. ``fee_fen`` is net."""

    paid_count: int
    paid_fen: int
    refunded_count: int
    refunded_fen: int
    fee_fen: int


def totals_of(merchant: Merchant, *, day: date | None = None) -> BookTotals:
    """The totals of ``payments_of`` and ``refunds_of``."""
    payments = payments_of(merchant, day=day)
    refunds = refunds_of(merchant, day=day).exclude(state=RefundState.CLOSED)
    paid = payments.aggregate(amount=Sum("amount_fen"), fee=Sum("fee_fen"))
    back = refunds.aggregate(amount=Sum("amount_fen"), fee=Sum("fee_fen"))
    return BookTotals(
        paid_count=payments.count(),
        paid_fen=paid["amount"] or 0,
        refunded_count=refunds.count(),
        refunded_fen=back["amount"] or 0,
        fee_fen=(paid["fee"] or 0) - (back["fee"] or 0),
    )


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
        extra={"history": True},
    )


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
