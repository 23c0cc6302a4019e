"""Acts in words: what each does before it is done, what was done, and why something cannot be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from apps.core.money import Money
from apps.ledger.endings import ending_words
from apps.ledger.models import AdjustmentState, Purpose
from apps.reconciliation.models import (
    AutoRule,
    Difference,
    DifferenceType,
    Resolution,
    ResolutionKind,
    ResolutionState,
)
from apps.reconciliation.outside_words import LEFT_WORDS
from apps.reconciliation.selectors import Offer
from apps.reconciliation.services import CannotResolve

K, T = ResolutionKind, DifferenceType


@dataclass(frozen=True, slots=True, kw_only=True)
class ActWords:
    """One kind of act: its button, its icon, and what it is for."""

    name: Promise
    icon: str
    what: Promise


ACT_WORDS: Final[Mapping[ResolutionKind, ActWords]] = {
    K.ACCEPT: ActWords(
        name=_("Accept the platform's version"),
        icon="check",
        what=_("Your books become what the bill says."),
    ),
    K.KEEP: ActWords(
        name=_("Keep ours"),
        icon="shield-check",
        what=_("Nothing is booked. Your books stay as they are, with your reason beside them."),
    ),
    K.ADJUST: ActWords(
        name=_("Book a correction"),
        icon="adjustments",
        what=_("A balanced entry takes the gap over, against an account that you choose."),
    ),
    K.LINK: ActWords(
        name=_("Link by hand"),
        icon="link",
        what=_("You say which payment or refund of yours this row of the bill is."),
    ),
    K.WRITE_OFF: ActWords(
        name=_("Write off"),
        icon="archive",
        what=_("A small gap is booked as written off, up to your limit, without a second person."),
    ),
    K.ASSIGN: ActWords(name=_("Give to somebody"), icon="user", what=_("Somebody looks after it.")),
    K.COMMENT: ActWords(name=_("Comment"), icon="notes", what=_("A word for the others.")),
}


def money(minor: int) -> str:
    """Fen as people read them."""
    return Money(minor).display()


def consequence(row: Difference, offer: Offer) -> str:
    """What will happen, before it is confirmed."""
    line = row.line
    day = offer.booked_on.isoformat() if offer.booked_on else ""
    if offer.kind == K.KEEP:
        return gettext(
            "Nothing is booked and nothing changes in your books. The difference of %(amount)s stays in the equation, settled by your reason."
        ) % {"amount": money(row.net_gap_minor)}
    if offer.kind == K.LINK:
        return gettext(
            "The row of the bill and the one you choose count as the same from now on, also when the day is matched again. If their amounts differ, that remains as a difference."
        )
    amount = money(abs(offer.amount_minor or 0))
    if row.type in {T.AMOUNT, T.FEE} or offer.kind in {K.ADJUST, K.WRITE_OFF}:
        return _booking_words(row, offer, amount=amount, day=day)
    if row.type == T.MISSING_HERE:
        return gettext("A payment of %(amount)s will be created and booked on %(day)s.") % {
            "amount": amount,
            "day": day,
        }
    if row.type == T.UNKNOWN_REFUND:
        return gettext("A refund of %(amount)s will be created and booked on %(day)s.") % {
            "amount": amount,
            "day": day,
        }
    if line is not None and line.kind == "refund":
        return gettext("The refund of %(amount)s will count as done and be booked on %(day)s.") % {
            "amount": amount,
            "day": day,
        }
    return gettext("The payment of %(amount)s will count as paid and be booked on %(day)s.") % {
        "amount": amount,
        "day": day,
    }


def _booking_words(row: Difference, offer: Offer, *, amount: str, day: str) -> str:
    more = (offer.amount_minor or 0) > 0
    said = (
        gettext(
            "%(amount)s will be booked on %(day)s: the platform owes you so much more than before."
        )
        if more
        else gettext(
            "%(amount)s will be booked on %(day)s: the platform owes you so much less than before."
        )
    ) % {"amount": amount, "day": day}
    if offer.kind == K.WRITE_OFF:
        said += " " + gettext("The other side is your account for adjustments.")
    elif offer.kind == K.ACCEPT and row.type == T.FEE:
        said += " " + gettext("The other side is your fees.")
    elif offer.kind == K.ACCEPT:
        said += " " + (
            gettext("The other side is your refunds.")
            if row.refund_id
            else gettext("The other side is your sales.")
        )
    if offer.waits:
        said += " " + gettext(
            "It is above your limit for adjustments, so another member must confirm it first."
        )
    return said


_REFUSALS: Final[Mapping[str, Promise]] = {
    "old_run": _("The day was matched again meanwhile. Open the run that counts now."),
    "new_bill": _(
        "A newer bill of that day is here and being matched. Try again once that is done; it takes a minute or two."
    ),
    "gone": _(
        "The day was matched again before its turn, and this difference is no longer there: nothing is left to do."
    ),
    "changed": _(
        "The day was matched again before its turn, and this difference has changed. Look at it as it is now."
    ),
    "settled": _("Somebody else settled this difference meanwhile. Look at its history below."),
    "waits": _(
        "A booking for it still waits for confirmation. Have it confirmed, or withdraw it first."
    ),
    "kind": _("That does not fit this kind of difference."),
    "nothing_to_book": _("There is no gap left that could be booked."),
    "booked": _(
        "A correction is booked for it already. Undo that first, so that nothing is booked twice."
    ),
    "above_limit": _(
        "It is above your limit for writing off. Book a correction instead, which another member confirms."
    ),
    "no_limit": _(
        "No limit for writing off is set yet. The owner sets it under Reconciliation, Rules."
    ),
    "no_payment": _(
        "The payment that this refund gives back is not in your books as paid. Accept that payment first, or book a correction."
    ),
    "over_refund": _(
        "More would be given back than is left of the payment. Book a correction instead."
    ),
    "mismatch": _(
        "The bill says %(theirs)s, your books say %(ours)s, so it cannot be taken over as it is. Book a correction instead."
    ),
    "not_believed": _(
        "What it is here cannot become done by the bill alone, for it was reversed, refused or withdrawn. The portal asks the platform once more where it can; else book a correction."
    ),
    "not_booked": _("It cannot be booked as it stands: %(why)s. Book a correction instead."),
    "no_store": _(
        "This account serves no store that the payment could be booked in. Name its stores under Platforms."
    ),
    "no_target": _(
        "Choose a payment or refund of the same account, of the same kind and currency."
    ),
    "linked": _("That one is linked to another row of a bill already. Undo that link first."),
    "no_member": _("That member may not settle differences. Choose another."),
    "no_open_day": _("No business day from that one on is open. Reopen one first."),
    "no_reason": _("Write why, so that it can be understood later."),
    "closed": _(
        "The business day %(day)s is closed, so it can no longer be undone. Book a correction into an open day instead, or have the day reopened."
    ),
    "undone": _("It is undone already."),
    "refunded": _(
        "A refund of this payment was made or asked for meanwhile, so it can no longer be undone. Undo the refund first."
    ),
    "not_paid": _(
        "It changed meanwhile and no longer counts as done, so there is nothing to undo."
    ),
    "reversed": _("Its booking is undone already, or that waits for confirmation."),
    "cancelled": _("Not done, since somebody stopped it before its turn."),
}


#: Why a correction that waited is void, by the codes of ``services.resolving.lapsing``.
LAPSES: Final[Mapping[str, Promise]] = {
    "difference_gone": _(
        "The difference that it was to settle went away before it was confirmed, so it is void and nothing was booked."
    ),
    "difference_changed": _(
        "The difference that it was to settle changed before it was confirmed, so it is void and nothing was booked. What is open now needs an answer of its own."
    ),
    "difference_linked": _(
        "What it was to settle was linked to a row of a bill before it was confirmed, so it is void and nothing was booked."
    ),
}


def lapse_words(code: str) -> str:
    """Why a waiting correction became void, as a sentence; "" for a code of others."""
    return str(LAPSES.get(code, ""))


def refusal_code_words(code: str, facts: Mapping[str, Any] | None = None) -> str:
    """Why not, by its code; facts that are not known are left out with their sentence's first half kept."""
    words = str(_REFUSALS.get(code, _REFUSALS["kind"]))
    if "%(" not in words:
        return words
    given = {"ours": "–", "theirs": "–", "day": "–", "why": "–", **(facts or {})}
    if given["why"] in LEFT_WORDS:
        given["why"] = LEFT_WORDS[given["why"]]
    return words % given


def refusal_words(error: CannotResolve) -> str:
    """Why not, what it means and what to do, in the reader's language."""
    return refusal_code_words(error.reason, error.facts)


def rule_words(rule: AutoRule) -> str:
    """A rule's conditions and what it does, as one sentence of phrases."""
    said = [
        rule.get_type_display() if rule.type else gettext("All kinds"),
    ]
    if rule.account is not None:
        said.append(rule.account.label)
    elif rule.platform:
        said.append(rule.get_platform_display())
    if rule.min_amount_minor is not None:
        said.append(gettext("from %(amount)s") % {"amount": money(rule.min_amount_minor)})
    if rule.max_amount_minor is not None:
        said.append(gettext("up to %(amount)s") % {"amount": money(rule.max_amount_minor)})
    if rule.max_gap_minor is not None:
        said.append(gettext("gap up to %(amount)s") % {"amount": money(rule.max_gap_minor)})
    if rule.min_age_days:
        said.append(gettext("open for %(days)d days or more") % {"days": rule.min_age_days})
    return " · ".join(said)


def who(resolution: Resolution) -> str:
    """Who did it: a member's name, or the rule's number."""
    if resolution.member is not None:
        return resolution.member.display_name
    if resolution.rule is not None:
        return gettext("by rule %(number)d") % {"number": resolution.rule.number}
    return gettext("by itself")


def _refused_words(resolution: Resolution) -> str:
    """What became of a correction that was never booked: who refused it and why, or why it ended by itself."""
    adjustment = resolution.adjustment
    why = ending_words(adjustment) if adjustment is not None else ""
    if adjustment is None or not why:
        return gettext("Refused or withdrawn: nothing was booked.")
    if adjustment.state == AdjustmentState.REJECTED:
        return gettext("Refused: “%(why)s”. Nothing was booked.") % {"why": why}
    if lapse_words(adjustment.message):
        return why
    return gettext("%(why)s Nothing was booked.") % {"why": why}


def event_of(resolution: Resolution) -> dict[str, Any]:
    """One line of a difference's history, for the timeline."""
    words = ACT_WORDS[ResolutionKind(resolution.kind)]
    title = str(words.name)
    if resolution.kind == K.ASSIGN:
        title = (
            gettext("Given to %(name)s") % {"name": resolution.assignee.display_name}
            if resolution.assignee
            else gettext("Given to nobody")
        )
    said = [resolution.reason] if resolution.reason else []
    if resolution.booked_minor:
        said.append(gettext("Booked: %(amount)s.") % {"amount": money(resolution.booked_minor)})
    tone = "info"
    if resolution.state == ResolutionState.WAITING:
        tone = "wait"
        said.append(gettext("Waiting for another member's confirmation; nothing is booked yet."))
    elif resolution.state == ResolutionState.REFUSED:
        tone = "bad"
        said.append(_refused_words(resolution))
    elif resolution.state == ResolutionState.SUPERSEDED:
        tone = "quiet"
        said.append(gettext("The difference changed afterwards, so it needed another answer."))
    elif resolution.kind in {K.ASSIGN, K.COMMENT}:
        tone = "quiet"
    if resolution.state == ResolutionState.UNDONE:
        tone = "quiet"
    elif resolution.undo_adjustment_id is not None:
        said.append(gettext("Its undoing waits for another member's confirmation."))
    return {
        "at": resolution.at,
        "title": title,
        "icon": words.icon,
        "tone": tone,
        "actor": who(resolution),
        "text": " · ".join(said),
        "resolution": resolution,
    }


def events_of(history: list[Resolution]) -> list[dict[str, Any]]:
    """A difference's history, oldest first; what was undone has an event of its own."""
    found = []
    for resolution in history:
        found.append(event_of(resolution))
        if resolution.undone_at is not None:
            found.append(
                {
                    "at": resolution.undone_at,
                    "title": gettext("Undone: %(what)s")
                    % {"what": ACT_WORDS[ResolutionKind(resolution.kind)].name},
                    "icon": "arrow-back-up",
                    "tone": "wait",
                    "actor": resolution.undone_by.display_name if resolution.undone_by else "",
                    "text": "",
                    "resolution": None,
                }
            )
    return sorted(found, key=lambda event: event["at"])


PURPOSE_WORDS: Final[Mapping[Purpose, Promise]] = {
    Purpose.ADJUSTMENTS: _("Adjustments: a loss or gain of its own"),
    Purpose.SALES: _("Sales: it was turnover after all"),
    Purpose.REFUNDS: _("Refunds: it was given back"),
    Purpose.FEES: _("Fees: the platform charged it"),
    Purpose.SUSPENSE: _("Suspense: until it is known what it was"),
}

#: What can be done to many at once.
BULK_KINDS: Final = [
    (kind.value, ACT_WORDS[kind]) for kind in (K.KEEP, K.ACCEPT, K.ADJUST, K.WRITE_OFF, K.ASSIGN)
]
