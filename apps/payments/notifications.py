"""What a payment notification does, called by the intake in its transaction."""

from __future__ import annotations

from datetime import datetime

from typing_extensions import override

from apps.core import audit
from apps.core.audit import Actor
from apps.payments.selectors import payment_by_order_no
from apps.payments.services import ResultMismatch, apply_to_payment
from apps.platforms.gateway import Notification
from apps.platforms.intake import NotificationHandler
from apps.platforms.models import NotificationState, PlatformAccount


class PaymentNotificationHandler(NotificationHandler):
    """Applies the payment's result, once."""

    @override
    def apply(
        self, *, account: PlatformAccount, notification: Notification, now: datetime, actor: Actor
    ) -> NotificationState:
        result = notification.payment
        if result is None:
            return NotificationState.UNMATCHED
        payment = payment_by_order_no(order_no=result.order_no, account_id=account.pk)
        if payment is None:
            return NotificationState.UNMATCHED
        payment.account = account
        try:
            changed = apply_to_payment(payment, result, via="notification", now=now, actor=actor)
        except ResultMismatch as error:
            audit.record(
                action="payment.mismatch",
                subject_kind="order",
                subject_id=payment.order_id,
                actor=actor,
                at=now,
                store_id=payment.store_id,
                data={"order_no": payment.order_no, "what": str(error)},
            )
            return NotificationState.REFUSED
        return NotificationState.APPLIED if changed else NotificationState.REPEATED
