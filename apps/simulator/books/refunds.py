"""Refunds as merchants ask for them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction

from apps.simulator import faults, notifications
from apps.simulator.books.errors import NotRefundable
from apps.simulator.books.numbers import new_refund_no, returned_fee
from apps.simulator.books.orders import refresh
from apps.simulator.books.settling import finish_refund, settle_due
from apps.simulator.models import Order, OrderState, Refund, RefundState


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
        if (
            instant
            and outcome == RefundState.SUCCESS
            and finish_at is not None
            and finish_at <= now
        ):
            finish_refund(refund, at=now)
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
    for key in ("refund_slow", "refund_in_progress"):
        slow = faults.take(key, platform=platform)
        if slow is not None:
            seconds = slow["seconds"]
    return outcome, None if seconds is None else now + timedelta(seconds=seconds)


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
