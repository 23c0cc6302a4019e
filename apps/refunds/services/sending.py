"""Sending refunds and following them until they are final."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F

from apps.core import outbox
from apps.core.audit import Actor
from apps.core.money import Money
from apps.payments.services import ResultMismatch
from apps.platforms import messages
from apps.platforms.gateway import (
    NotSupported,
    OrderNotFound,
    Outcome,
    PlatformRejected,
    PlatformUnavailable,
    RefundRequest,
    RefundResult,
)
from apps.platforms.services import gateway_of, notify_url
from apps.refunds.models import UNDER_WAY, Refund, RefundState
from apps.refunds.selectors import refund_ref
from apps.refunds.services.applying import apply_refund_result, queue_refund
from apps.refunds.services.requesting import enqueue_send

#: A refund that waits for the platform's balance is sent again after this.
QUEUE_WAIT = timedelta(minutes=10)
#: Waits between two looks at a refund under way; the last repeats. Wallet refunds take seconds, cards days.
POLL_WAITS = tuple(timedelta(seconds=s) for s in (5, 10, 20, 60, 300, 600, 1200, 1800))

SYSTEM = Actor.system("refunds")


def _result(refund: Refund, outcome: Outcome, code: str, message: str) -> RefundResult:
    return RefundResult(
        outcome=outcome,
        order_no=refund.payment.order_no,
        refund_no=refund.refund_no,
        code=code,
        message=message,
    )


def _next_look(refund: Refund, *, now: datetime) -> datetime:
    return now + POLL_WAITS[min(refund.poll_count, len(POLL_WAITS) - 1)]


def _follow(refund: Refund, *, now: datetime) -> None:
    outbox.enqueue(
        task="refunds.poll",
        merchant_id=refund.merchant_id,
        subject_id=refund.pk,
        due_at=_next_look(refund, now=now),
    )


def send_refund(*, refund_id: int, now: datetime) -> datetime | None:
    """Send a refund that may be sent; harmless to repeat, since the number stays. Returns when to send again."""
    refund = Refund.objects.select_related("payment", "account").filter(pk=refund_id).first()
    sendable = (RefundState.READY, RefundState.QUEUED, RefundState.UNKNOWN)
    if refund is None or refund.state not in sendable:
        return None
    if refund.sent_at is None:
        refund.sent_at = now
        with transaction.atomic():
            Refund.objects.filter(pk=refund.pk).update(sent_at=now)
            # Before the call: whatever becomes of this process, the refund is asked about.
            _follow(refund, now=now)
    elif not _never_arrived(refund, now=now):
        # An earlier call may have worked though its answer was lost; only if the platform knows nothing of it may a
        # refusal of this one be taken as final.
        return now + QUEUE_WAIT if refund.state == RefundState.QUEUED else None
    payment = refund.payment
    request = RefundRequest(
        order_no=payment.order_no,
        refund_no=refund.refund_no,
        amount=Money(refund.amount_minor, refund.currency),
        order_amount=Money(payment.amount_minor, payment.currency),
        reason=refund.reason,
        notify_url=notify_url(refund.account),
        began_at=refund.sent_at,
        payment_began_at=payment.created_at,
        paid_at=payment.paid_at,
        platform_trade_no=payment.platform_trade_no or None,
    )
    try:
        result = gateway_of(refund.account).refund(request)
    except PlatformUnavailable as error:
        result = _result(refund, Outcome.UNKNOWN, error.code, error.message)
    except PlatformRejected as error:
        plain = str(messages.explain(payment.platform, error.code, fallback=error.message))
        if error.retry_same:
            queue_refund(refund_id=refund.pk, code=error.code, message=plain, now=now, actor=SYSTEM)
            return now + QUEUE_WAIT
        result = _result(refund, Outcome.FAILED, error.code, plain)
    except NotSupported as error:
        result = _result(refund, Outcome.FAILED, "not_supported", str(error))
    apply_refund_result(refund_id=refund.pk, result=result, via="send", now=now, actor=SYSTEM)
    return None


def _never_arrived(refund: Refund, *, now: datetime) -> bool:
    """Whether the platform says that it never accepted this refund; any other word of it is applied."""
    try:
        result = gateway_of(refund.account).query_refund(refund_ref(refund))
    except OrderNotFound:
        return True
    except (PlatformUnavailable, PlatformRejected):
        return False
    apply_refund_result(refund_id=refund.pk, result=result, via="query", now=now, actor=SYSTEM)
    return False


def _look(refund: Refund, *, now: datetime, via: str) -> None:
    trouble = ""
    try:
        result = gateway_of(refund.account).query_refund(refund_ref(refund))
    except OrderNotFound:
        # Never accepted: sending again under the same number cannot pay twice.
        if refund.state in {RefundState.READY, RefundState.UNKNOWN, RefundState.QUEUED}:
            wait = QUEUE_WAIT if refund.state == RefundState.QUEUED else timedelta(0)
            enqueue_send(refund, due_at=now + wait)
    except PlatformUnavailable as error:
        trouble = error.message
    except PlatformRejected as error:
        trouble = str(error)
    else:
        try:
            apply_refund_result(
                refund_id=refund.pk, result=result, via=via, now=now, actor=Actor.system(via)
            )
        except ResultMismatch as error:
            trouble = str(error)
    rows = Refund.objects.filter(pk=refund.pk)
    rows.update(poll_count=F("poll_count") + 1)
    if trouble:
        rows.update(message=trouble[:300])


def poll_refund(*, refund_id: int, now: datetime) -> datetime | None:
    """One look at a refund under way; returns when to look again, None when it is final."""
    refund = Refund.objects.select_related("payment", "account").filter(pk=refund_id).first()
    if refund is None or refund.state not in UNDER_WAY:
        return None
    _look(refund, now=now, via="poll")
    refund.refresh_from_db()
    if refund.state not in UNDER_WAY:
        return None
    return _next_look(refund, now=now)


def refresh_refund(*, refund_id: int, now: datetime) -> Refund:
    """Ask the platform about a refund under way now."""
    refund = Refund.objects.select_related("payment", "account").get(pk=refund_id)
    if refund.state in UNDER_WAY and refund.sent_at is not None:
        _look(refund, now=now, via="query")
        refund.refresh_from_db()
    return refund
