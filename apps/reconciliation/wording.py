"""Differences in words: what it is, what it means for the money, what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext, ngettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from apps.core.templatetags.portal import china_time, state_label
from apps.payments.models import Source
from apps.reconciliation.models import (
    Difference,
    DifferenceState,
    DifferenceType,
    Rounding,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """One type of difference in words."""

    what: Promise
    money: Promise
    todo: Promise
    icon: str
    tone: str


EXPLANATIONS: Final[Mapping[DifferenceType, Explanation]] = {
    DifferenceType.MISSING_HERE: Explanation(
        what=_("The bill has a payment that the portal does not know."),
        money=_("The platform holds money for you that your books do not show."),
        todo=_(
            "Look whether it was taken outside the portal: on a POS device, by the platform's own sticker, or before you joined."
        ),
        icon="question-mark",
        tone="bad",
    ),
    DifferenceType.MISSING_THERE: Explanation(
        what=_("Your books have it on this day, and no bill has it."),
        money=_("The platform may not settle this amount."),
        todo=_(
            "Ask the platform with its number. If a later bill has it after all, the portal matches again by itself."
        ),
        icon="zoom-question",
        tone="bad",
    ),
    DifferenceType.AMOUNT: Explanation(
        what=_("The bill and your books name different amounts for the same number."),
        money=_("The platform settles the bill's amount; your books differ by the gap."),
        todo=_(
            "Look at the order's timeline. A coupon, or a change at the platform, is the usual reason."
        ),
        icon="equal",
        tone="bad",
    ),
    DifferenceType.STATUS: Explanation(
        what=_("The bill counts it as done, your books do not."),
        money=_("The money moved at the platform, but not in your books."),
        todo=_(
            "Open the order and ask the platform for its state; then match again. If it stays so, it needs a correction."
        ),
        icon="switch-horizontal",
        tone="bad",
    ),
    DifferenceType.FEE: Explanation(
        what=_("The amount matches; the platform's fee is not the one your agreed rate gives."),
        money=_("Turnover is right. The platform pays out a little more or less than expected."),
        todo=_(
            "Compare the fee rate under Platforms with your contract; a fen may be mere rounding."
        ),
        icon="percentage",
        tone="wait",
    ),
    DifferenceType.DUPLICATE: Explanation(
        what=_("The bill has the same payment or refund more than once."),
        money=_("The bill counts the amount twice, your books once."),
        todo=_(
            "Ask the platform which of the rows counts. A corrected bill can be fetched or uploaded again."
        ),
        icon="copy",
        tone="bad",
    ),
    DifferenceType.UNKNOWN_REFUND: Explanation(
        what=_("The bill has a refund that the portal does not know."),
        money=_("The platform gave money back that your books still show as yours."),
        todo=_(
            "Look whether somebody refunded it in the platform's own console, and who was allowed to."
        ),
        icon="receipt-refund",
        tone="bad",
    ),
    DifferenceType.CURRENCY: Explanation(
        what=_("The bill and your books name different currencies."),
        money=_("The amounts cannot be compared."),
        todo=_("Ask the platform in which currency it settles this account."),
        icon="coin-yuan",
        tone="bad",
    ),
    DifferenceType.WRONG_ACCOUNT: Explanation(
        what=_("One account's bill has what your books have at another of your accounts."),
        money=_("No money is missing, but it is settled to another account than you expect."),
        todo=_(
            "Look which merchant number the code or terminal uses. The two accounts even out once it is booked where it was paid."
        ),
        icon="switch-horizontal",
        tone="bad",
    ),
    DifferenceType.LATE: Explanation(
        what=_("It happened close to the end of the day, and no bill has it yet."),
        money=_("The platform has not settled it so far."),
        todo=_(
            "Wait for its limit: the portal looks again by itself and then says whether it is missing. Ask the platform at once if the amount is large."
        ),
        icon="clock",
        tone="wait",
    ),
    DifferenceType.EXPECTED: Explanation(
        what=_(
            "It happened close to the end of the day, so the platform may count it on the next."
        ),
        money=_("Nothing is missing yet: the next day's bill should have it."),
        todo=_("Nothing to do. The portal matches again as soon as the next bill is here."),
        icon="clock",
        tone="info",
    ),
    DifferenceType.CARRY_IN: Explanation(
        what=_("The bill counts here what your books count on another day."),
        money=_("Nothing is missing: it evens out with the other day."),
        todo=_("Nothing to do."),
        icon="arrow-right",
        tone="info",
    ),
    DifferenceType.CARRY_OUT: Explanation(
        what=_("Your books count here what another day's bill has."),
        money=_("Nothing is missing: it evens out with the other day."),
        todo=_("Nothing to do."),
        icon="arrow-right",
        tone="info",
    ),
    DifferenceType.OVERBOOKED: Explanation(
        what=_("A correction was booked for a difference that is no longer there."),
        money=_("Your books show so much more or less than the platform owes you."),
        todo=_(
            "Undo the correction in the history below. Where its day is closed, book the opposite correction."
        ),
        icon="arrow-back-up",
        tone="bad",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TermWords:
    """One term of the explanation equation in words."""

    name: Promise
    what: Promise


TERM_WORDS: Final[Mapping[str, TermWords]] = {
    "bill": TermWords(
        name=_("Platform, net"),
        what=_("Each row of the bill: payments less refunds, less the fees it tells."),
    ),
    "sales": TermWords(
        name=_("Sales"), what=_("Your payments of the platform's day, as your books have them.")
    ),
    "refunds": TermWords(
        name=_("Refunds"), what=_("Your refunds of the platform's day, as your books have them.")
    ),
    "fees": TermWords(
        name=_("Fees"), what=_("What your agreed rate gives for them, less what came back.")
    ),
    "untold_fees": TermWords(
        name=_("Fees not told"),
        what=_(
            "Your fees of rows whose fee the bill does not tell, so that it cannot be compared."
        ),
    ),
    "carry_in": TermWords(
        name=_("Carried in"),
        what=_("Rows of this bill that your books count on another day."),
    ),
    "carry_out": TermWords(
        name=_("Carried out"),
        what=_("Yours of this day that another day's bill has or may still have."),
    ),
    "adjustments": TermWords(
        name=_("Adjustments"), what=_("Corrections that were booked for this day's differences.")
    ),
    "differences": TermWords(
        name=pgettext_lazy("term", "Differences"),
        what=_("All rows with another amount, fee or state, or on one side only."),
    ),
}


#: Ours that the bill does not have.
_ABSENT: Final = (DifferenceType.MISSING_THERE, DifferenceType.EXPECTED, DifferenceType.LATE)


def remark(row: Difference, now: datetime) -> str:
    """What is particular to one row, beyond its type: days, states, the fee's rule, how long it has been known."""
    said = []
    detail = row.detail
    if row.type == DifferenceType.STATUS and detail.get("our_state"):
        kind = "refund" if row.refund_id else "payment"
        said.append(
            gettext("Here it is: %(state)s.") % {"state": state_label(detail["our_state"], kind)}
        )
    if row.type == DifferenceType.FEE:
        said += _fee_words(row)
    if row.type == DifferenceType.WRONG_ACCOUNT:
        said.append(
            gettext("This bill has it; your books have it at another account.")
            if row.line_id
            else gettext("Your books have it here; another account's bill has it.")
        )
    ours = row.refund or row.payment
    if row.type in _ABSENT and ours is not None and ours.source == Source.PLATFORM:
        said.append(
            gettext("It was booked from an earlier version of the bill, which now has it no more.")
        )
    if detail.get("bill_day"):
        said.append(gettext("It is in the bill of %(day)s.") % {"day": detail["bill_day"]})
    elif detail.get("our_day"):
        said.append(gettext("Your books have it on %(day)s.") % {"day": detail["our_day"]})
    if row.due_at is not None:
        said.append(
            gettext("The portal looks again at %(time)s.")
            % {"time": china_time(row.due_at, "text")}
        )
    days = (now - row.first_seen_at).days
    if days >= 1:
        said.append(
            ngettext("First seen %(count)d day ago.", "First seen %(count)d days ago.", days)
            % {"count": days}
        )
    return " ".join(said)


def _fee_words(row: Difference) -> list[str]:
    """By which rate a fee was expected, and whether rounding explains it."""
    said = []
    if row.detail.get("rate_ppm") is not None:
        rate = (Decimal(row.detail["rate_ppm"]) / 10_000).normalize()
        said.append(gettext("Expected by your rate of %(rate)s %%.") % {"rate": format(rate, "f")})
    if row.detail.get("rounding"):
        rule = Rounding(row.detail["rounding"]).label
        said.append(gettext("Rounding explains it: %(rule)s.") % {"rule": rule})
    elif row.state == DifferenceState.EXPLAINED:
        said.append(gettext("It is within what this account lets pass."))
    return said


def when(row: Difference) -> str:
    """The row's time: the bill's, else that of the books."""
    if row.line is not None:
        return china_time(row.line.occurred_at)
    if row.refund is not None:
        return china_time(row.refund.accepted_at)
    return china_time(row.payment.paid_at) if row.payment is not None else ""
