"""Background work in plain words."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

JOBS = {
    "payments.poll": _("Ask the platform about a payment"),
    "payments.expire_order": _("Close an order past its time"),
    "refunds.send": _("Send a refund to the platform"),
    "refunds.poll": _("Ask the platform about a refund"),
    "approvals.expire": _("End a confirmation that nobody gave"),
    "approvals.notify": _("Tell members that a confirmation waits"),
    "statements.fetch": _("Fetch a bill"),
    "reconciliation.run": _("Match a bill with the books"),
    "platforms.reprocess_notification": _("Apply a notification again"),
    "merchants.send_invitation": _("Send an invitation"),
}
