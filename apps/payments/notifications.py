"""What a payment notification does, called by the intake in its transaction."""

from __future__ import annotations

from datetime import datetime

from typing_extensions import override

from apps.core.audit import Actor
from apps.payments.selectors import payment_by_order_no
from apps.payments.services import ResultMismatch, apply_payment_result
from apps.platforms.gateway import Notification
from apps.platforms.intake import NotificationHandler, Refused
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
        try:
            changed = apply_payment_result(
                payment_id=payment.pk, result=result, via="notification", now=now, actor=actor
            )
        except ResultMismatch as error:
            raise Refused(str(error)) from error
        return NotificationState.APPLIED if changed else NotificationState.REPEATED
