"""How every state is shown, on every page: its word, icon, tone and hint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """How one state is shown: its word, an icon, a tone (see tokens.css) and what happens next."""

    label: str | Promise
    icon: str
    tone: str
    hint: str | Promise = ""


_PENDING = State(
    label=_("Pending"),
    icon="clock",
    tone="wait",
    hint=_("The customer has not paid yet. It closes by itself when its time is up."),
)
_PAID = State(
    label=_("Paid"), icon="circle-check", tone="ok", hint=_("The platform confirmed the money.")
)
_UNKNOWN = State(
    label=_("Unknown, asking"),
    icon="help-circle",
    tone="ask",
    hint=_("The platform gave no clear answer. We keep asking until it does; nothing is lost."),
)
_REFUNDING = State(
    label=_("Refunding"),
    icon="loader",
    tone="info",
    hint=_("The platform is working on it. The money usually arrives within minutes."),
)
_REFUNDED = State(
    label=_("Refunded"),
    icon="receipt-refund",
    tone="info",
    hint=_("The platform confirmed that the money went back to the customer."),
)
_WAITING_CONFIRMATION = State(
    label=_("Waiting for confirmation"),
    icon="user-check",
    tone="wait",
    hint=_("Another member must confirm before anything is sent."),
)
_REFUSED = State(
    label=_("Refused"), icon="ban", tone="bad", hint=_("It was refused. No money moved.")
)
_EXPIRED = State(label=_("Expired"), icon="clock-x", tone="quiet", hint=_("Its time is over."))
_FAILED = State(label=_("Failed"), icon="circle-x", tone="bad")
_RUNNING = State(label=_("Running"), icon="loader", tone="info", hint=_("It is being worked on."))
_DONE = State(label=_("Done"), icon="circle-check", tone="ok")

#: State words, by value, or by ``kind.value`` where the same value means something else.
STATES: Mapping[str, State] = {
    # payments and orders
    "created": _PENDING,
    "pending": _PENDING,
    "order.open": _PENDING,
    "paid": _PAID,
    "succeeded": _PAID,
    "unknown": _UNKNOWN,
    "closed": State(
        label=_("Closed"),
        icon="circle-x",
        tone="quiet",
        hint=_("It was not paid in time, or was cancelled. No money moved."),
    ),
    "failed": _FAILED,
    "payment.failed": State(
        label=_("Failed"),
        icon="circle-x",
        tone="bad",
        hint=_("The platform refused it. No money moved."),
    ),
    "partly_refunded": State(label=_("Partly refunded"), icon="receipt-refund", tone="info"),
    # alerts of the risk rules
    "alert.open": State(
        label=pgettext_lazy("alert", "Open"),
        icon="bell-ringing",
        tone="wait",
        hint=_("Nobody has looked at it yet."),
    ),
    "alert.seen": State(label=pgettext_lazy("alert", "Being looked at"), icon="eye", tone="info"),
    "alert.false_alarm": State(
        label=pgettext_lazy("alert", "False alarm"), icon="bell", tone="quiet"
    ),
    "alert.acted": State(
        label=pgettext_lazy("alert", "Dealt with"), icon="circle-check", tone="ok"
    ),
    # refunds
    "waiting": _WAITING_CONFIRMATION,
    "ready": _REFUNDING,
    "processing": _REFUNDING,
    "refunding": _REFUNDING,
    "refund.created": _REFUNDING,
    "refund.pending": _REFUNDING,
    "refund.succeeded": _REFUNDED,
    "refunded": _REFUNDED,
    "queued": State(
        label=_("Waiting for platform balance"),
        icon="hourglass",
        tone="wait",
        hint=_(
            "The account at the platform holds too little. It is sent again when there is enough."
        ),
    ),
    "abnormal": State(
        label=_("Needs action at the platform"),
        icon="alert-triangle",
        tone="bad",
        hint=_(
            "The customer's account did not take the money. Settle it in the platform's console."
        ),
    ),
    "refund.failed": State(
        label=_("Failed"),
        icon="circle-x",
        tone="bad",
        hint=_("The platform refused it. The money stays with the shop."),
    ),
    "rejected": _REFUSED,
    "refused": _REFUSED,
    "cancelled": State(label=_("Cancelled"), icon="x", tone="quiet", hint=_("No money moved.")),
    "refund_batch.waiting": State(
        label=_("Waiting for confirmation"),
        icon="user-check",
        tone="wait",
        hint=_("Another member must confirm the whole list before anything is sent."),
    ),
    "refund_batch.running": State(
        label=_("Running"),
        icon="loader",
        tone="info",
        hint=_("The refunds are made one after the other. You may leave this page."),
    ),
    "refund_batch.paused": State(
        label=_("Paused"),
        icon="player-pause",
        tone="wait",
        hint=_("No further refund is made until somebody resumes it."),
    ),
    "refund_batch.done": State(
        label=_("All sent"),
        icon="circle-check",
        tone="ok",
        hint=_(
            "Every row had its turn; some may still be with the platform. What became of each stands below."
        ),
    ),
    "refund_batch.cancelled": State(
        label=_("Stopped"),
        icon="player-stop",
        tone="quiet",
        hint=_("No further refund is made. What was sent before goes its way."),
    ),
    "refund_batch.refused": State(
        label=_("Refused"), icon="ban", tone="bad", hint=_("It was refused. No money moved.")
    ),
    # approvals
    "approval.pending": _WAITING_CONFIRMATION,
    "approved": State(label=_("Confirmed"), icon="circle-check", tone="ok"),
    "voided": State(
        label=_("Void"),
        icon="ban",
        tone="quiet",
        hint=_("What was to be confirmed has changed, so the request no longer counts."),
    ),
    "expired": _EXPIRED,
    # codes, accounts, members
    "active": State(label=_("Active"), icon="circle-check", tone="ok"),
    "paused": State(
        label=_("Paused"),
        icon="player-pause",
        tone="wait",
        hint=_("It takes no payments until it is resumed."),
    ),
    "retired": State(
        label=_("Retired"), icon="archive", tone="quiet", hint=_("It is no longer used.")
    ),
    "not_yet": State(
        label=_("Not yet valid"),
        icon="calendar-event",
        tone="quiet",
        hint=_("Its valid period has not begun."),
    ),
    "disabled": State(label=_("Switched off"), icon="ban", tone="quiet"),
    "invited": State(
        label=_("Invited"),
        icon="mail",
        tone="wait",
        hint=_("The invitation was sent and has not been accepted yet."),
    ),
    "working": State(
        label=_("Working"),
        icon="plug-connected",
        tone="ok",
        hint=_("The last check with the platform succeeded."),
    ),
    "unchecked": State(label=_("Not checked yet"), icon="plug", tone="wait"),
    "broken": State(
        label=_("Not working"),
        icon="plug-x",
        tone="bad",
        hint=_("The platform refused the credentials at the last check."),
    ),
    # bills and reconciliation
    "statement.waiting": State(
        label=_("Waiting for the platform"),
        icon="hourglass",
        tone="wait",
        hint=_("The platform publishes a day's bill the next morning."),
    ),
    "absent": State(
        label=_("No such bill yet"),
        icon="hourglass",
        tone="wait",
        hint=_("The platform knows no bill of this day: it is late, or there was nothing."),
    ),
    "imported": State(label=_("Imported"), icon="circle-check", tone="ok"),
    "empty": State(label=_("Nothing on that day"), icon="minus", tone="quiet"),
    "statement.failed": State(
        label=_("Failed, will try again"), icon="alert-triangle", tone="wait"
    ),
    "upload.waiting": State(
        label=_("Waiting its turn"),
        icon="hourglass",
        tone="wait",
        hint=_("A worker takes it up within seconds."),
    ),
    "upload.running": State(label=_("Being imported"), icon="loader", tone="info"),
    "upload.same": State(
        label=_("Is here already"), icon="equal", tone="quiet", hint=_("Nothing changed.")
    ),
    "upload.refused": State(
        label=_("Refused"),
        icon="ban",
        tone="bad",
        hint=_("Nothing of it was stored but the file itself. The day stays as it was."),
    ),
    "upload.cancelled": State(
        label=_("Cancelled"), icon="x", tone="quiet", hint=_("Nothing of it was stored.")
    ),
    "change.added": State(label=_("New row"), icon="plus", tone="ok"),
    "change.removed": State(label=_("Row gone"), icon="minus", tone="bad"),
    "change.changed": State(label=_("Changed row"), icon="pencil", tone="wait"),
    # settlements
    "settlement.arrived": State(
        label=_("Arrived"),
        icon="circle-check",
        tone="ok",
        hint=_("It is on the bank statement and booked."),
    ),
    "settlement.on_its_way": State(
        label=_("On its way"),
        icon="hourglass",
        tone="info",
        hint=_("The platform pays it out; its day has not passed yet."),
    ),
    "settlement.unseen": State(
        label=_("Not seen yet"),
        icon="eye-off",
        tone="wait",
        hint=_("It should have arrived. Upload the bank statement of that day to see it."),
    ),
    "settlement.overdue": State(
        label=_("Overdue"),
        icon="alert-triangle",
        tone="bad",
        hint=_("Its day has passed and the bank statement does not show it."),
    ),
    "settlement.held": State(
        label=_("Held back"),
        icon="lock",
        tone="ask",
        hint=_(
            "It is paid out later, together with other days, or a person does not expect it for now."
        ),
    ),
    "settlement.nothing": State(
        label=_("Nothing to pay"),
        icon="minus",
        tone="quiet",
        hint=_("Payments, refunds and fees of this day come to nothing."),
    ),
    "running": _RUNNING,
    "done": _DONE,
    "balanced": State(
        label=_("Balanced"),
        icon="circle-check",
        tone="ok",
        hint=_("Every row of the bill is matched or explained."),
    ),
    "has_differences": State(
        label=_("Differences"),
        icon="alert-triangle",
        tone="bad",
        hint=_("Some rows do not match and need a look."),
    ),
    "matched": State(label=_("Matched"), icon="equal", tone="ok"),
    "open": State(label=_("Open"), icon="circle-dot", tone="wait"),
    "explained": State(label=_("Explained"), icon="notes", tone="info"),
    "resolved": State(label=_("Resolved"), icon="checks", tone="ok"),
    # days in the calendar
    "calendar.needs": State(
        label=_("Needs somebody"),
        icon="alert-triangle",
        tone="bad",
        hint=_("Some rows do not match and need a look."),
    ),
    "calendar.waiting": State(
        label=_("Bill still to come"),
        icon="hourglass",
        tone="wait",
        hint=_("A bill is not here yet, or is just being matched. The portal goes on by itself."),
    ),
    "calendar.matched": State(
        label=_("Matched"),
        icon="circle-check",
        tone="ok",
        hint=_("Every row of the bills is matched or explained."),
    ),
    "calendar.closed": State(
        label=pgettext_lazy("day state", "Closed"),
        icon="lock",
        tone="info",
        hint=_("The books of this day are closed."),
    ),
    "calendar.closed_again": State(
        label=_("Closed again"),
        icon="lock",
        tone="ask",
        hint=_("The books of this day were opened again after a close, and closed anew."),
    ),
    "calendar.unexpected": State(label=_("No bill expected"), icon="minus", tone="quiet"),
    "calendar.ahead": State(label=_("Not over yet"), icon="clock", tone="quiet"),
    # business days
    "day.open": State(
        label=pgettext_lazy("day state", "Open"),
        icon="circle-dot",
        tone="quiet",
        hint=_("Payments and bookings may still land on this day."),
    ),
    "day.closed": State(
        label=pgettext_lazy("day state", "Closed"),
        icon="lock",
        tone="ok",
        hint=_(
            "Nothing lands on this day any more. What becomes known later counts on an open day."
        ),
    ),
    "day.reopened": State(
        label=_("Opened again"),
        icon="lock-open",
        tone="wait",
        hint=_("It was closed and opened again. Closing it once more makes a new version."),
    ),
    # the ledger
    "adjustment.waiting": State(
        label=_("Waiting for confirmation"),
        icon="user-check",
        tone="wait",
        hint=_("Nothing is posted before another member has confirmed it."),
    ),
    "adjustment.posted": State(label=_("Posted"), icon="circle-check", tone="ok"),
    "adjustment.rejected": State(
        label=_("Refused"), icon="ban", tone="bad", hint=_("It was refused. Nothing was posted.")
    ),
    "adjustment.cancelled": State(
        label=_("Cancelled"), icon="x", tone="quiet", hint=_("Nothing was posted.")
    ),
    # notifications
    "received": State(label=_("Received"), icon="inbox", tone="quiet"),
    "applied": State(label=_("Applied"), icon="circle-check", tone="ok"),
    "repeated": State(label=_("Repeated, no effect"), icon="refresh", tone="quiet"),
    "unmatched": State(label=_("No payment of ours"), icon="question-mark", tone="wait"),
    "notification.refused": State(label=_("Refused"), icon="ban", tone="bad"),
    "notification.failed": State(label=_("Not applied yet"), icon="clock", tone="wait"),
    # how an account's platform answers
    "pace.answers": State(label=_("Answers"), icon="circle-check", tone="ok"),
    "pace.fails": State(
        label=_("Answers badly"),
        icon="alert-triangle",
        tone="wait",
        hint=_("The last calls brought nothing of use. It is asked more slowly."),
    ),
    "pace.open": State(
        label=_("Does not answer"),
        icon="plug-x",
        tone="bad",
        hint=_("Nobody asks it for a while, so that it can recover. Then one call is tried."),
    ),
    "pace.tries": State(label=_("Being tried"), icon="loader", tone="ask"),
    "pace.unasked": State(label=_("Not asked yet"), icon="minus", tone="quiet"),
}
