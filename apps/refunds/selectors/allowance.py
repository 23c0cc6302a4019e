"""What may still be refunded of a payment: until when, into how many parts, from when."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from apps.payments.models import Payment
from apps.platforms.selectors.refunding import Allowance
from apps.platforms.selectors.refunding import allowance as allowed_by_platform
from apps.refunds.models import RESERVING, Refund, RefundState


def counts_as_part(refund: Refund) -> bool:
    """Whether the platform counts a refund among a payment's parts, or will: also one it accepted and closed later."""
    return refund.state in RESERVING or refund.accepted_at is not None


def waits_to_be_sent(refund: Refund) -> bool:
    """Whether a refund may go to the platform and has not yet."""
    return refund.state == RefundState.READY and refund.last_tried_at is None


def refund_allowance(
    payment: Payment, *, now: datetime, refunds: Sequence[Refund] | None = None
) -> Allowance:
    """What the platform still takes of a paid payment; ``refunds``: all of it, where they are loaded already.

    Two queries at most, or one. Nothing of an unpaid payment: no limits then.
    """
    if payment.paid_at is None:
        return Allowance()
    if refunds is None:
        refunds = list(Refund.objects.filter(payment=payment))
    tried = [refund.last_tried_at for refund in refunds if refund.last_tried_at is not None]
    return allowed_by_platform(
        account=payment.account,
        paid_at=payment.paid_at,
        parts_used=sum(map(counts_as_part, refunds)),
        last_sent_at=max(tried, default=None),
        parts_ahead=sum(map(waits_to_be_sent, refunds)),
        is_whole=payment.refund_reserved_minor == 0,
        now=now,
    )
