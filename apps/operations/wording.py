"""Background work, what waits, and the audit trail in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from django.utils.functional import Promise
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from apps.core.clock import CHINA
from apps.core.models import Due
from apps.core.names import named
from apps.operations.selectors import Waiting
from apps.payments.models import OPEN_STATES, Payment, PaymentState
from apps.platforms.gateway import Product
from apps.platforms.models import AccountPace, AccountTerminal
from apps.platforms.services import asking, pacing
from apps.platforms.wording import remark_words, trouble_words
from apps.refunds.models import Refund, RefundState

JOBS = {
    "payments.poll": _("Ask the platform about a payment"),
    "qrcodes.apply_version": _("Follow a planned change of a code"),
    "qrcodes.draw_prints": _("Draw codes for a print shop"),
    "qrcodes.forget_prints": _("Delete a print shop's files after a week"),
    "payments.expire_order": _("Close an order past its time"),
    "reports.watch_codes": _("Look for odd use of codes"),
    "refunds.send": _("Send a refund to the platform"),
    "refunds.poll": _("Ask the platform about a refund"),
    "refunds.refund_duplicate": _("Give back what was paid twice"),
    "refunds.batch": _("Make the refunds of a batch"),
    "refunds.forget_contact": _("Forget how a customer may be reached"),
    "approvals.expire": _("End a confirmation that nobody gave"),
    "approvals.notify": _("Tell members that a confirmation waits"),
    "approvals.remind": _("Remind members that a confirmation waits"),
    "approvals.escalate": _("Tell owners and managers that nobody has confirmed"),
    "approvals.cool": _("Carry out what nobody else could confirm, after the delay"),
    "approvals.mail": _("Send a mail about a confirmation"),
    "approvals.terms_mail": _("Tell owners that confirming becomes easier"),
    "statements.fetch": _("Fetch a bill"),
    "statements.import": _("Import an uploaded bill"),
    "statements.sweep": _("Ask about each payment of a day, in place of a bill"),
    "statements.settle": _("Compute what a bill says will be paid out"),
    "statements.settle_account": _("Compute what an account pays out, by its terms"),
    "statements.match": _("Match what is paid out with the bank"),
    "statements.reserve": _("Keep some of the takings back for refunds"),
    "statements.watch_balance": _("See whether a balance suffices for refunds"),
    "statements.balance_mail": _("Send the mail about a low balance"),
    "reconciliation.run": _("Match a bill with the books"),
    "reconciliation.morning": _("Tell how the day was matched"),
    "reconciliation.morning_mail": _("Send the morning's mail"),
    "reconciliation.write_day_files": _("Write the files of a closed day"),
    "reconciliation.bulk": _("Settle many differences"),
    "platforms.reprocess_notification": _("Apply a notification again"),
    "platforms.check_in": _("Fetch a terminal's key of the day"),
    "platforms.renew_credentials": _("Renew a platform's certificates"),
    "checkout.count_risk": _("Count payments under the risk rules"),
    "platforms.remind_agreement": _("Tell the members in time that an agreement ends"),
    "platforms.agreement_mail": _("Send the mail that an agreement ends"),
    "merchants.send_invitation": _("Send an invitation"),
}

#: What people and the portal did, where the order's own timeline has no sentence for it.
ACTIONS = {
    "account.connected": _("Platform account connected"),
    "account.changed": _("Platform account changed"),
    "account.keys_asked": _("New keys of a platform account: confirmation asked for"),
    "account.keys_changed": _("Keys of a platform account replaced after confirmation"),
    "account.keys_dropped": _("New keys of a platform account not confirmed"),
    "account.checked": _("Platform account checked"),
    "account.moved": _("Platform account moved in the order of preference"),
    "account.paused": _("Platform account paused"),
    "account.renewed": _("Platform's certificate renewed"),
    "account.resumed": _("Platform account resumed"),
    "account.terminal_activated": _("Terminal activated at the platform"),
    "account.terminal_found": _("Terminal's key found again"),
    "account.terminal_lost": _("Platform accepts none of a terminal's keys"),
    "account.terminal_off": _("Terminal no longer used at an account"),
    "adjustment.cancelled": _("Adjustment withdrawn or expired"),
    "adjustment.paper_read": _("Paper of an adjustment downloaded"),
    "adjustment.posted": _("Adjustment posted"),
    "adjustment.refused": _("Adjustment refused"),
    "adjustment.requested": _("Adjustment asked for"),
    "alert.handled": _("Risk alert: what a member said of it"),
    "agreement.withdrawn": _("Planned version of an agreement withdrawn"),
    "agreement.entered": _("Version of an agreement entered"),
    "agreement.paper_deleted": _("Paper of an agreement deleted"),
    "agreement.paper_kept": _("Paper of an agreement kept"),
    "agreement.paper_read": _("Paper of an agreement downloaded"),
    "agreement.reminded": _("Told that an agreement ends"),
    "agreement.ticked": _("Looked at before signing"),
    "agreement.unticked": _("Tick of what to look at before signing taken away"),
    "approval.confirmed": _("Confirmed"),
    "approval.refused": _("Refused"),
    "approval.withdrawn": _("Request for a confirmation taken back"),
    "approval.told": _("Told members of a confirmation that waits"),
    "approval.cooling": _("Delay begun in place of a second person"),
    "approval.cooling_stopped": _("Delay ended: it waits for another member"),
    "approval.cooled": _("Carried out after the delay, without a second person"),
    "approval_terms.changed": _("How confirmations run changed"),
    "delegation.given": _("Right to confirm handed to another member"),
    "delegation.ended": _("Standing in for another member ended"),
    "checkout.changed": _("Settings of the customer's page changed"),
    "code.alerted": _("Odd use of a code found"),
    "code.alert_ended": _("Odd use of a code looked at"),
    "code.assigned": _("Code given to a terminal"),
    "code.filed": _("Code put into a folder or labelled"),
    "code.restored": _("What was done to many codes undone"),
    "folder.created": _("Folder made"),
    "folder.renamed": _("Folder renamed"),
    "folder.deleted": _("Folder deleted"),
    "print.started": _("Files for a print shop asked for"),
    "print.deleted": _("Files for a print shop deleted"),
    "print.cancelled": _("Files for a print shop cancelled"),
    "code.revised": _("Code changed"),
    "code.scheduled": _("Change of a code planned"),
    "code.withdrawn": _("Planned change of a code withdrawn"),
    "wall.made": _("Display for the wall made"),
    "wall.revoked": _("Display for the wall switched off"),
    "template.created": _("Template of codes created"),
    "template.changed": _("Template of codes changed"),
    "template.switched_on": _("Template of codes switched on"),
    "template.switched_off": _("Template of codes switched off"),
    "code.created": _("Code created"),
    "code.paused": _("Code paused"),
    "code.resumed": _("Code resumed"),
    "code.retired": _("Code retired"),
    "code.unassigned": _("Code taken from its terminal"),
    "day.closed": _("Business day closed"),
    "day.file_written": _("File of a closed day written"),
    "day.reopened": _("Business day opened again"),
    "day.reopening_cancelled": _("Opening a day again withdrawn or expired"),
    "day.reopening_refused": _("Opening a day again refused"),
    "day.reopening_requested": _("Opening a day again asked for"),
    "design.changed": _("Design of codes changed"),
    "design.created": _("Design of codes created"),
    "design.default": _("Design of codes made the default"),
    "design.deleted": _("Design of codes deleted"),
    "difference.accept": _("Difference: platform's version accepted"),
    "difference.adjust": _("Difference: correction booked or asked for"),
    "difference.assign": _("Difference given to somebody"),
    "difference.comment": _("Difference commented"),
    "difference.keep": _("Difference: ours kept"),
    "difference.link": _("Difference: linked by hand"),
    "difference.undone": _("Difference: what was done was undone"),
    "difference.write_off": _("Difference written off"),
    "differences.chosen": _("Act on many differences begun"),
    "differences.kept": _("Many differences: ours kept"),
    "differences.stopped": _("Act on many differences stopped"),
    "difference.resolved": _("Difference marked as explained"),
    "difference.reopened": _("Difference opened again"),
    "export.downloaded": _("File exported"),
    "history.asked": _("Bills of days before joining asked for"),
    "invitation.accepted": _("Invitation accepted"),
    "invitation.created": _("Invitation sent"),
    "invitation.resent": _("Invitation sent again"),
    "invitation.withdrawn": _("Invitation withdrawn"),
    "limit.changed": _("Limit of adjustments changed"),
    "matching.allowed": _("What matching may do for an account changed"),
    "matching_rule.changed": _("Rule for differences changed"),
    "matching_rule.made": _("Rule for differences made"),
    "matching_rule.moved": _("Rule for differences moved in the order"),
    "matching_rule.switched_off": _("Rule for differences switched off"),
    "matching_rule.switched_on": _("Rule for differences switched on"),
    "member.changed": _("Member's role or stores changed"),
    "member.deactivated": _("Member's access removed"),
    "member.joined": _("Member joined"),
    "member.readmitted": _("Member's access given back"),
    "merchant.changed": _("Settings changed"),
    "merchant.created": _("Merchant registered"),
    "outside.booked": _("Outside money booked from a bill"),
    "outside.rule_made": _("Rule for outside money made"),
    "outside.rule_retired": _("Rule for outside money retired"),
    "plan.changed": _("Plan of accounts changed"),
    "reason.changed": _("Reason code of adjustments added or offered differently"),
    "refund_batch.cancelled": _("Refunds of many payments stopped"),
    "refund_batch.confirmed": _("Refunds of many payments confirmed"),
    "refund_batch.done": _("Refunds of many payments finished"),
    "refund_batch.paused": _("Refunds of many payments paused"),
    "refund_batch.refused": _("Refunds of many payments refused"),
    "refund_batch.requested": _("Refunds of many payments asked for"),
    "refund_batch.resumed": _("Refunds of many payments resumed"),
    "refund_batch.retried": _("Failed refunds of a batch tried again"),
    "refund_requests.changed": _("What customers may ask for on their receipt changed"),
    "hold.refused": _("Held payment refused"),
    "hold.released": _("Held payment released"),
    "risk.reviewed": _("Risk reviewed"),
    "risk_rules.changed": _("Risk rules changed"),
    "risk_rules.dropped": _("Change of the risk rules not accepted"),
    "risk_rules.requested": _("Change of the risk rules asked for"),
    "rule.asked": _("Refund rules: confirmation asked for"),
    "rule.changed": _("Refund rules published"),
    "rule.drafted": _("Refund rules: draft begun"),
    "rule.dropped": _("Refund rules: draft thrown away"),
    "rule.not_confirmed": _("Refund rules not confirmed"),
    "run.finished": _("Bill matched with the books"),
    "morning.told": _("Morning told"),
    "morning.mail_chosen": _("Morning mail chosen"),
    "columns.changed": _("Columns of an account's console exports chosen"),
    "shift.closed": _("Shift closed"),
    "shift.opened": _("Shift opened"),
    "statement.downloaded": _("Bill downloaded"),
    "statement.imported": _("Bill imported"),
    "statement.refused": _("Uploaded bill refused"),
    "statement.refused_deleted": _("Refused bill deleted"),
    "statement.refused_downloaded": _("Refused bill downloaded"),
    "statement.refused_expired": _("Refused bill deleted after its time"),
    "statement.upload_cancelled": _("Import of a bill cancelled"),
    "statement.uploaded": _("Bill uploaded"),
    "settlement.terms": _("Terms of payout changed"),
    "settlement.held": _("Settlement held back"),
    "settlement.expected": _("Settlement expected again"),
    "workday.changed": _("Working day of the banks changed"),
    "payout.linked": _("Bank lines linked with settlements and booked"),
    "payout.undone": _("Payout undone"),
    "reserve.terms": _("What is kept back for refunds changed"),
    "balance.watch": _("When to be warned of a low balance changed"),
    "balance.low": _("Told of a low balance"),
    "bank_account.added": _("Bank account added"),
    "bank_columns.changed": _("Columns of a bank account's statements chosen"),
    "bank_statement.imported": _("Bank statement imported"),
    "store.added": _("Store added"),
    "store.changed": _("Store changed"),
    "store.closed": _("Store closed"),
    "store.opened": _("Store opened again"),
    "terminal.added": _("Terminal added"),
    "terminal.changed": _("Terminal changed"),
    "terminal.switched_off": _("Terminal switched off"),
    "terminal.switched_on": _("Terminal switched on"),
    "write_off.limited": _("Limit for writing off changed"),
}

#: Why a payment or refund waits, where nothing special is the matter.
_PAYMENT_WAITS: Final[Mapping[str, Promise]] = {
    PaymentState.CREATED: _("The customer has not paid yet."),
    PaymentState.PENDING: _("The customer has not paid yet."),
    PaymentState.UNKNOWN: _("The platform has given no clear answer yet."),
    PaymentState.SUCCEEDED: _("The order was paid twice: this payment goes back."),
}
_REFUND_WAITS: Final[Mapping[str, Promise]] = {
    RefundState.READY: _("It is about to be sent."),
    RefundState.PROCESSING: _("The platform is working on it."),
    RefundState.UNKNOWN: _("Nobody knows yet whether the platform has it."),
    RefundState.QUEUED: _("The account at the platform holds too little. It is sent again."),
    RefundState.ABNORMAL: _(
        "The customer's account did not take the money. Settle it in the platform's console."
    ),
}


def job_name(task: str) -> str:
    """What a due does."""
    return str(JOBS.get(task, task))


def due_name(due: Due, terminals: Mapping[int, AccountTerminal]) -> str:
    """What a due does, and for which of the terminals where it is about one (by the dues' ids)."""
    row = terminals.get(due.pk)
    if row is None:
        return job_name(due.task)
    if row.terminal is None:
        which = gettext("the portal's own at %(account)s") % {"account": row.account.label}
    else:
        which = f"{row.terminal.name}, {named(row.terminal.store)}"
    return gettext("%(job)s: %(terminal)s (%(number)s)") % {
        "job": job_name(due.task),
        "terminal": which,
        "number": row.terminal_sn,
    }


def reason_words(reason: str, *, pace: AccountPace | None, now: datetime) -> str:
    """Why a due was put off, from the word kept with it; "" where there is none."""
    if not reason:
        return ""
    if reason == pacing.BREAKER:
        if pace is not None and pace.open_until is not None and pace.open_until > now:
            return gettext("The platform does not answer. Nobody asks it until %(time)s.") % {
                "time": _clock_time(pace.open_until)
            }
        return gettext("The platform did not answer. It is being tried again.")
    if reason == pacing.RATE_LIMIT:
        return gettext("It waits for its turn: the platform takes only so many calls a second.")
    if reason == asking.TOO_OFTEN:
        return gettext("The platform was asked about it too often and is left alone for a while.")
    if reason == asking.LATE:
        return gettext("There was more to ask than fits into one round.")
    return gettext("It failed on our side (%(kind)s) and is tried again by itself.") % {
        "kind": reason
    }


def waiting_words(waiting: Waiting, *, pace: AccountPace | None, now: datetime) -> str:
    """Why something waits, in one sentence."""
    special = reason_words(waiting.due.last_error, pace=pace, now=now)
    if special:
        return special
    if waiting.refund is not None:
        said = _remark(waiting.refund.payment, waiting.refund)
        usual = _REFUND_WAITS.get(waiting.refund.state, "")
    elif waiting.payment is not None:
        said = _remark(waiting.payment, waiting.payment)
        usual = _payment_waits(waiting.payment, now=now)
    else:
        return gettext("What it was about is gone. It ends by itself.")
    if said:
        return gettext("Last answer: %(said)s") % {"said": said}
    return str(usual)


def _remark(payment: Payment, about: Payment | Refund) -> str:
    """The last answer about a payment or refund in words; "" where nothing was said."""
    return remark_words(payment.platform, about.code_text, about.message) if about.message else ""


def _payment_waits(payment: Payment, *, now: datetime) -> str | Promise:
    barcode = payment.product == Product.BARCODE
    if payment.state == PaymentState.CLOSED:
        return (
            _("It was undone. The platform is asked until that is certain.")
            if barcode
            else _("It is closed. One last look follows when nobody can pay it any more.")
        )
    if payment.state in OPEN_STATES and payment.expires_at <= now:
        return (
            _("Its time is up. It is being undone at the platform.")
            if barcode
            else _("Its time is up. It is being closed at the platform.")
        )
    return _PAYMENT_WAITS.get(payment.state, "")


def pace_entry(pace: AccountPace | None, *, now: datetime) -> dict[str, Any]:
    """How an account's platform answers: ``state`` for the badge, ``words``, and whether it may be tried now."""
    if pace is None or (pace.last_ok_at is None and not pace.failures):
        return {"state": "unasked", "words": "", "may_try": False}
    if not pace.failures:
        return {"state": "answers", "words": "", "may_try": False}
    facts = {"count": pace.failures, "trouble": trouble_words(pace.last_code)}
    words = (
        ngettext(
            "%(count)d call in a row brought nothing: %(trouble)s.",
            "%(count)d calls in a row brought nothing: %(trouble)s.",
            pace.failures,
        )
        % facts
    )
    if pace.open_until is None:
        return {"state": "fails", "words": words, "may_try": False}
    if pace.open_until <= now:
        return {"state": "tries", "words": words, "may_try": False}
    until = gettext("The next try is at %(time)s.") % {"time": _clock_time(pace.open_until)}
    return {"state": "open", "words": f"{words} {until}", "may_try": True}


def _clock_time(at: datetime) -> str:
    return f"{at.astimezone(CHINA):%H:%M:%S}"
