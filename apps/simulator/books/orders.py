"""Orders from their first line in the books to their end."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction

from apps.simulator import faults, notifications
from apps.simulator.books.errors import NotClosable, NotPayable, NotRefundable, OrderNumberUsed
from apps.simulator.books.finding import payer_id_of
from apps.simulator.books.numbers import fee_of, new_refund_no, new_trade_no
from apps.simulator.books.settling import finish_refund, settle_due
from apps.simulator.models import Merchant, NoticeKind, Order, OrderState, Platform, Product, Refund
from apps.simulator.payers import Payer


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
    wallet: str = "",
    request: Mapping[str, Any] | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Order:
    """Write a new unpaid order. Raises OrderNumberUsed."""
    try:
        with transaction.atomic():
            made = Order.objects.create(
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
                wallet=wallet,
                created_at=now,
                expires_at=expires_at,
                request=dict(request or {}),
                extra=dict(extra or {}),
            )
    except IntegrityError as error:
        raise OrderNumberUsed("number_used") from error
    notifications.tempt(order=made, now=now)
    return made


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
    payer_id = payer_id_of(order=order, payer=payer)
    try:
        _check_payable(refresh(order=order, now=now), payer=payer, payer_id=payer_id, now=now)
    except NotPayable as refusal:
        _note_refusal(order, refusal.reason, now=now)
        raise
    with transaction.atomic():
        current = refresh(order=order, now=now)
        moved = Order.objects.filter(pk=order.pk, state=OrderState.WAITING).update(
            state=OrderState.PAID,
            trade_exists=True,
            paid_at=now,
            payer_id=payer_id,
            payer_login=payer.login,
            fee_fen=fee_of(order.amount_fen, merchant.rate_ppm),
            extra={**current.extra, **unionpay_marks(order.platform)},
        )
        current.refresh_from_db()
        if not moved:
            raise NotPayable(current.state.lower())
        notifications.enqueue(order=current, refund=None, kind=NoticeKind.PAID, now=now)
    notifications.deliver_early(order=current, now=now)
    return current


def unionpay_marks(platform: str) -> dict[str, Any]:
    """What UnionPay remembers of a transaction under its own faults: nothing special at all others."""
    marks: dict[str, Any] = {}
    if platform == Platform.UNIONPAY:
        if faults.take("success_with_defect", platform=platform) is not None:
            marks["paid_code"] = "A6"
        if faults.take("settles_next_day", platform=platform) is not None:
            marks["settle_days"] = 1
    return marks


def _note_refusal(order: Order, reason: str, *, now: datetime) -> None:
    """UnionPay tells a failed attempt to those who ask about the order, though a shown code can still be paid.

    By a payer's own code there is only one attempt.
    """
    if order.platform != Platform.UNIONPAY or reason != "balance":
        return
    if order.product == Product.BARCODE:
        fail_order(order=order, code="64", now=now)
    else:
        current = Order.objects.get(pk=order.pk)
        Order.objects.filter(pk=order.pk, state=OrderState.WAITING).update(
            extra={**current.extra, "refused_code": "64"}
        )


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


def undo_order(*, order: Order, now: datetime) -> Order:
    """UnionPay's reversal: the order ends CLOSED whether it was paid or not, and a payment was never made.

    Harmless to repeat. Raises NotClosable: ``closed`` (it ended otherwise) or ``refunded`` (in part or whole).
    """
    with transaction.atomic():
        current = refresh(order=order, now=now)
        if current.extra.get("closed_by") == "reversal":
            return current
        if current.state == OrderState.CLOSED:
            raise NotClosable("closed")
        if current.refunded_fen:
            raise NotClosable("refunded")
        current.state, current.closed_at = OrderState.CLOSED, now
        current.extra = {**current.extra, "closed_by": "reversal"}
        current.save(update_fields=["state", "closed_at", "extra"])
    return current


#: The number of the refund by which an order that was already paid is reversed.
REVERSAL = "reversal_"


@transaction.atomic
def reverse_order(*, order: Order, now: datetime) -> Order:
    """WeChat Pay's reversal: what is not paid ends, what is paid goes back whole and at once, as a refund in the books.

    Harmless to repeat; ``extra["reversed"]`` says so from now on. Raises NotRefundable: ``refunded`` (in part or whole).
    """
    current = refresh(order=order, now=now)
    if current.extra.get("reversed"):
        return current
    if current.state == OrderState.PAID:
        if current.refunds.exists():
            raise NotRefundable("refunded")
        refund = Refund.objects.create(
            order=current,
            merchant=current.merchant,
            out_refund_no=f"{REVERSAL}{current.out_trade_no}",
            refund_no=new_refund_no(current.platform, now),
            amount_fen=current.amount_fen,
            fee_fen=current.fee_fen,
            reason="撤销",
            created_at=now,
            finish_at=now,
        )
        finish_refund(refund, at=now)
    if current.state == OrderState.WAITING:
        current.state, current.closed_at = OrderState.CLOSED, now
    current.extra = {**current.extra, "closed_by": "reversal", "reversed": True}
    current.save(update_fields=["state", "closed_at", "extra"])
    return current


def fail_order(*, order: Order, code: str, now: datetime) -> Order:
    """An attempt by a payer's code that failed for good, with the platform's code for why. No notice."""
    with transaction.atomic():
        current = Order.objects.select_related("merchant").get(pk=order.pk)
        if current.state == OrderState.WAITING:
            current.state, current.closed_at = OrderState.CLOSED, now
            current.extra = {**current.extra, "closed_by": "failure", "refused_code": code}
            current.save(update_fields=["state", "closed_at", "extra"])
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
