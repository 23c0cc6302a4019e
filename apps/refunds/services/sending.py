"""Sending refunds; ``polling`` follows them until they are final."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.db import transaction
from django.db.models import Max
from django.db.models.functions import Coalesce

from apps.core import outbox
from apps.core.audit import Actor
from apps.core.money import Money
from apps.core.outbox import PutOff
from apps.payments.models import Payment
from apps.platforms.gateway import (
    AskedTooOften,
    NotSupported,
    Outcome,
    PlatformGateway,
    PlatformRejected,
    PlatformUnavailable,
    RefundRequest,
    RefundResult,
)
from apps.platforms.selectors.refunding import gap_of
from apps.platforms.services import gateway_of, notify_url, pacing
from apps.platforms.services.asking import talk
from apps.platforms.services.pacing import Tally
from apps.refunds.models import Refund, RefundState
from apps.refunds.selectors import refunded_before
from apps.refunds.services.applying import apply_refund_result, queue_refund
from apps.refunds.services.polling import converse, is_to_send, next_wait
from apps.refunds.services.timing import QUEUE_WAIT

SYSTEM = Actor.system("refunds")

#: One that was accepted is sent again only where the platform shows another in its place.
SENDABLE: Final = (
    RefundState.READY,
    RefundState.QUEUED,
    RefundState.UNKNOWN,
    RefundState.PROCESSING,
)


def _result(refund: Refund, outcome: Outcome, code: str, message: str) -> RefundResult:
    return RefundResult(
        outcome=outcome,
        order_no=refund.payment.order_no,
        refund_no=refund.refund_no,
        code=code,
        message=message,
    )


def _follow(refund: Refund, *, state: RefundState, now: datetime) -> None:
    """Have it asked about, as soon as is sensible for a refund in this state."""
    outbox.enqueue(
        task="refunds.poll",
        merchant_id=refund.merchant_id,
        subject_id=refund.pk,
        due_at=now + next_wait(refund, state=state, now=now),
    )


def send_refund(*, refund_id: int, now: datetime) -> datetime | None:
    """Send a refund that may be sent; harmless to repeat, since the number stays. Returns when to send again.

    Raises PutOff while the account's platform is not to be asked.
    """
    refund = Refund.objects.select_related("payment__order", "account").filter(pk=refund_id).first()
    if refund is None or refund.state not in SENDABLE:
        return None
    admission = pacing.take_one(refund.account, now=now)
    if not admission.calls:
        raise PutOff(until=admission.again_at, reason=admission.reason)
    tally = Tally()
    try:
        return _send(refund, tally, now=now)
    finally:
        pacing.report({refund.account_id: tally}, now=now)


def _send(refund: Refund, tally: Tally, *, now: datetime) -> datetime | None:
    gateway = gateway_of(
        refund.account,
        terminal_id=refund.payment.terminal_id,
        began_at=refund.payment.created_at,
    )
    first, turn = _take_turn(refund, now=now)
    if turn is not None:
        return turn
    if not first and not _may_send_again(refund, gateway, tally, now=now):
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
        began_at=refund.sent_at or now,
        payment_began_at=payment.created_at,
        paid_at=payment.paid_at,
        platform_trade_no=payment.platform_trade_no or None,
        refunded_before=refunded_before(refund),
        repeated=not first,
    )
    try:
        result = gateway.refund(request)
        tally.hear(usable=True)
    except PlatformUnavailable as error:
        tally.hear(usable=isinstance(error, AskedTooOften), code=error.code)
        result = _result(refund, Outcome.UNKNOWN, error.code, error.message)
        # Nobody knows whether it arrived, so it is asked about sooner than one that was accepted.
        _follow(refund, state=RefundState.UNKNOWN, now=now)
    except PlatformRejected as error:
        tally.hear(usable=True)
        # The platform's own words are kept; the code decides what the reader is told, in the reader's language.
        if error.retry_same:
            queue_refund(
                refund_id=refund.pk, code=error.code, message=error.message, now=now, actor=SYSTEM
            )
            return now + QUEUE_WAIT
        result = _result(refund, Outcome.FAILED, error.code, error.message)
    except NotSupported as error:
        result = _result(refund, Outcome.FAILED, "not_supported", str(error))
    apply_refund_result(refund_id=refund.pk, result=result, via="send", now=now, actor=SYSTEM)
    return None


def _take_turn(refund: Refund, *, now: datetime) -> tuple[bool, datetime | None]:
    """Whether nobody has sent it before; then this moment becomes its time, before the call and for all repeats.

    Two workers at once must not give it two times: UnionPay knows a refund by number and time together. Where the platform
    wants a while between two refunds of a payment, the second says when its turn comes, and nothing is done.
    """
    gap = gap_of(refund.account)
    with transaction.atomic():
        # The payment's row is the lock: of two refunds of one payment, the second sees when the first went.
        Payment.objects.select_for_update(of=("self",)).get(pk=refund.payment_id)
        turn = None if gap is None else _turn(refund, gap, now=now)
        if turn is not None:
            return False, turn
        mine = Refund.objects.filter(pk=refund.pk, state__in=SENDABLE)
        if not mine.update(tried_at=now):
            # Withdrawn a moment ago: nothing is sent, and nothing is due any more.
            return False, now
        first = mine.filter(sent_at__isnull=True).update(sent_at=now)
        refund.refresh_from_db(fields=["sent_at", "tried_at"])
        if first:
            # Before the call: whatever becomes of this process, the refund is asked about.
            _follow(refund, state=RefundState.PROCESSING, now=now)
    return bool(first), None


def _turn(refund: Refund, gap: timedelta, *, now: datetime) -> datetime | None:
    """When this refund may go to the platform, None if now."""
    others = Refund.objects.filter(payment_id=refund.payment_id).exclude(pk=refund.pk)
    last = others.aggregate(at=Max(Coalesce("tried_at", "sent_at")))["at"]
    return last + gap if last is not None and now < last + gap else None


def _may_send_again(
    refund: Refund, gateway: PlatformGateway, tally: Tally, *, now: datetime
) -> bool:
    """Whether the platform says that it never accepted this refund, or tells nothing of it; any other word is applied."""
    word = talk(gateway, converse(refund), tally)
    if word.result is not None:
        apply_refund_result(
            refund_id=refund.pk, result=word.result, via="query", now=now, actor=SYSTEM
        )
    return is_to_send(refund, word)
