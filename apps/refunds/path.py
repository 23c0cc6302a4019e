"""A refund's way, step by step, as a parcel's: what is done, what is happening, what is still to come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _

from apps.approvals.models import ApprovalState, Decision
from apps.payments.models import Source
from apps.refunds.models import Refund, RefundState


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step. ``mark``: done, now, ahead, or stopped (the refund's way ends here)."""

    title: str
    mark: str
    at: datetime | None = None
    actor: str = ""
    text: str = ""


def _reasons() -> dict[str, str]:
    """The words for an end that nobody decided."""
    return {
        "rules": _("The refund rules refuse it."),
        "batch_stopped": _("Its batch was stopped before it was sent."),
        "withdrawn": _("It was withdrawn."),
        "expired": _("Nobody confirmed it in time."),
        "changed": _("It was changed after it had been asked for, so the request became void."),
    }


def end_words(refund: Refund) -> str:
    """Why a refund ended that was never sent: what the person who refused it wrote, or what happened."""
    return _reasons().get(refund.message, refund.message)


def abnormal_steps(refund: Refund) -> list[str]:
    """What to do about a refund that the customer's account did not take, step by step; none where there is nothing to do."""
    if refund.state != RefundState.ABNORMAL:
        return []
    return [
        _(
            "Ask the customer whether another card may take the money: you need its bank, its number and the holder's name."
        ),
        _(
            "Log in to the platform's merchant console, look for the refund number under abnormal refunds, and choose where the money goes: to the customer's other card, or to your own account."
        ),
        _(
            "If it goes to your own account, give the customer the money in another way, and keep the receipt."
        ),
        _(
            "Then ask the platform on this page. The portal also asks by itself every half hour, and books the refund once the platform calls it done."
        ),
    ]


def _requested(refund: Refund) -> Step:
    if refund.source == Source.PLATFORM:
        return Step(
            title=_("Begun at the platform"),
            mark="done",
            at=refund.created_at,
            text=_("It was not asked for here but in the platform's own console."),
        )
    if refund.is_automatic:
        return Step(
            title=_("Made by the portal"),
            mark="done",
            at=refund.created_at,
            text=_("The order had been paid before, so this payment goes back by itself."),
        )
    asked_by = refund.requested_by.display_name if refund.requested_by else ""
    return Step(title=_("Asked for"), mark="done", at=refund.created_at, actor=asked_by)


def _confirmed(refund: Refund, decisions: Sequence[Decision], rule: str) -> Step:
    approval = refund.approval
    if refund.is_automatic:
        rule = _("What was paid twice is not the shop's, whatever the rule says.")
    if approval is None and refund.state == RefundState.REJECTED:
        return Step(title=_("Refused by the rules"), mark="stopped", text=rule)
    if approval is None:
        return Step(title=_("No confirmation needed"), mark="done", text=rule)
    names = ", ".join(row.member.display_name for row in decisions)
    if approval.state == ApprovalState.PENDING:
        return Step(title=_("Waiting for confirmation"), mark="now", actor=names, text=rule)
    if approval.state == ApprovalState.APPROVED:
        return Step(title=_("Confirmed"), mark="done", at=approval.decided_at, actor=names)
    if approval.state == ApprovalState.REJECTED:
        refused = [row for row in decisions if not row.approved]
        who = ", ".join(row.member.display_name for row in refused)
        said = next((row.reason for row in refused), refund.message)
        return Step(
            title=_("Refused"), mark="stopped", at=approval.decided_at, actor=who, text=said
        )
    return Step(
        title=_("Ended without a confirmation"),
        mark="stopped",
        at=approval.decided_at,
        text=end_words(refund),
    )


def _outside(refund: Refund) -> list[Step]:
    """The steps at the platform."""
    state = refund.state
    # A fast answer may bring the end before the platform's own word of acceptance.
    accepted = bool(refund.accepted_at) or state in {
        RefundState.PROCESSING,
        RefundState.ABNORMAL,
        RefundState.SUCCEEDED,
    }
    if state == RefundState.QUEUED:
        sent = Step(
            title=_("Waiting for platform balance"),
            mark="now",
            at=refund.sent_at,
            text=_("It is sent again by itself, under the same number."),
        )
    elif refund.sent_at is None and not accepted:
        sent = (
            Step(title=_("Being sent to the platform"), mark="now")
            if state == RefundState.READY
            else Step(title=_("Sent to the platform"), mark="ahead")
        )
    else:
        sent = Step(title=_("Sent to the platform"), mark="done", at=refund.sent_at)
    if state == RefundState.FAILED:
        stop = Step(
            title=_("The platform did not carry it out"),
            mark="stopped",
            text=_("The money stays with the shop. It may be asked for again."),
        )
        return [sent, stop]
    if accepted:
        taken = Step(title=_("Accepted by the platform"), mark="done", at=refund.accepted_at)
    elif sent.mark == "done":
        taken = Step(title=_("Waiting for the platform's answer"), mark="now")
    else:
        taken = Step(title=_("Accepted by the platform"), mark="ahead")
    steps = [sent, taken]
    if state == RefundState.ABNORMAL:
        steps.append(Step(title=_("Needs action at the platform"), mark="stopped"))
    elif state == RefundState.PROCESSING:
        steps.append(Step(title=_("On its way to the customer"), mark="now"))
    else:
        mark = "done" if state == RefundState.SUCCEEDED else "ahead"
        steps.append(Step(title=_("Back with the customer"), mark=mark, at=refund.refunded_at))
    return steps


def path_of(refund: Refund, *, decisions: Sequence[Decision], rule: str) -> list[Step]:
    """The steps of a refund with its approval loaded. ``rule``: what the rule says about it, as a sentence."""
    steps = [_requested(refund)]
    if refund.source == Source.PORTAL:
        steps.append(_confirmed(refund, decisions, rule))
        if steps[-1].mark == "stopped":
            return steps
    return steps + _outside(refund)
