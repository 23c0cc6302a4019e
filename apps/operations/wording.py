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

#: What people and the portal did, where the order's own timeline has no sentence for it.
ACTIONS = {
    "account.connected": _("Platform account connected"),
    "account.changed": _("Platform account changed"),
    "account.checked": _("Platform account checked"),
    "account.paused": _("Platform account paused"),
    "account.resumed": _("Platform account resumed"),
    "approval.confirmed": _("Confirmed"),
    "approval.refused": _("Refused"),
    "code.created": _("Code created"),
    "code.paused": _("Code paused"),
    "code.resumed": _("Code resumed"),
    "code.retired": _("Code retired"),
    "difference.resolved": _("Difference marked as explained"),
    "difference.reopened": _("Difference opened again"),
    "export.downloaded": _("File exported"),
    "invitation.sent": _("Invitation sent"),
    "invitation.withdrawn": _("Invitation withdrawn"),
    "member.changed": _("Member's role or stores changed"),
    "member.deactivated": _("Member's access removed"),
    "member.joined": _("Member joined"),
    "member.readmitted": _("Member's access given back"),
    "merchant.changed": _("Settings changed"),
    "merchant.created": _("Merchant registered"),
    "rule.changed": _("Refund rule changed"),
    "run.finished": _("Bill matched with the books"),
    "statement.downloaded": _("Bill downloaded"),
    "statement.imported": _("Bill imported"),
    "store.added": _("Store added"),
    "store.changed": _("Store changed"),
    "store.closed": _("Store closed"),
    "store.opened": _("Store opened again"),
}
