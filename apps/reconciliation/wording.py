"""Differences in words: what it is, what it means for the money, what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from apps.core.templatetags.portal import china_time, state_label
from apps.reconciliation.models import Difference, DifferenceType


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
            "Close to midnight it may still come with the next day's bill; the portal then matches again by itself. Otherwise ask the platform with its number."
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
    DifferenceType.LATE: Explanation(
        what=_(
            "The same payment or refund stands on neighbouring days in the bill and in your books."
        ),
        money=_("Nothing is missing: it counts on one day here and on another day there."),
        todo=_("Nothing to do. It evens out over the two days."),
        icon="clock",
        tone="info",
    ),
}


def remark(row: Difference) -> str:
    """What is particular to one row, beyond its type; often nothing."""
    said = []
    detail = row.detail
    if row.type == DifferenceType.STATUS and detail.get("our_state"):
        kind = "refund" if row.refund_id else "payment"
        said.append(
            _now("Here it is: %(state)s.") % {"state": state_label(detail["our_state"], kind)}
        )
    if detail.get("bill_day"):
        said.append(_now("It is in the bill of %(day)s.") % {"day": detail["bill_day"]})
    elif detail.get("our_day"):
        said.append(_now("Your books have it on %(day)s.") % {"day": detail["our_day"]})
    return " ".join(said)


def when(row: Difference) -> str:
    """The row's time: the bill's, else that of the books."""
    if row.line is not None:
        return china_time(row.line.occurred_at)
    if row.refund is not None:
        return china_time(row.refund.accepted_at)
    return china_time(row.payment.paid_at) if row.payment is not None else ""
