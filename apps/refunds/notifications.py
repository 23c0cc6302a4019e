"""What a refund notification does, called by the intake in its transaction."""

from __future__ import annotations

from datetime import datetime

from typing_extensions import override

from apps.core.audit import Actor
from apps.payments.services import ResultMismatch
from apps.platforms.gateway import Notification
from apps.platforms.intake import NotificationHandler
from apps.platforms.models import NotificationState, PlatformAccount
from apps.refunds.selectors import refund_by_no
from apps.refunds.services import apply_refund_result
from apps.refunds.services.requesting import record_step


class RefundNotificationHandler(NotificationHandler):
    """Applies the refund's result, once. A refund that did not begin here stays unmatched and shows up in the bill."""

    @override
    def apply(
        self, *, account: PlatformAccount, notification: Notification, now: datetime, actor: Actor
    ) -> NotificationState:
        result = notification.refund
        refund = refund_by_no(refund_no=result.refund_no, account_id=account.pk) if result else None
        if result is None or refund is None:
            return NotificationState.UNMATCHED
        try:
            changed = apply_refund_result(
                refund_id=refund.pk, result=result, via="notification", now=now, actor=actor
            )
        except ResultMismatch as error:
            record_step(refund, "refund.mismatch", actor=actor, now=now, what=str(error))
            return NotificationState.REFUSED
        return NotificationState.APPLIED if changed else NotificationState.REPEATED
