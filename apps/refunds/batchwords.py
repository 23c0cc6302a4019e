"""Batches of refunds in words: what was chosen, what is left out and why, what became of a row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from apps.core.money import Money
from apps.core.templatetags.portal import grouped, platform_label
from apps.qrcodes.models import ScenarioKind
from apps.refunds.models import (
    BatchRowState,
    RefundBatchRow,
    RefundState,
    ShareKind,
)
from apps.refunds.path import end_words
from apps.refunds.rulefacts import OUTCOMES, Outcome
from apps.refunds.selectors import BatchWish, answer_of

#: Why a payment is not in a batch, or why its refund was not made.
WHY: Final[Mapping[str, Promise]] = {
    "refunded": gettext_lazy("All of it is refunded or already asked for."),
    "in_batch": gettext_lazy("Another batch is about to refund it."),
    "no_number": gettext_lazy(
        "It was taken outside the portal, and no number is known by which the platform would find it. Refund it where it was taken."
    ),
    "window": gettext_lazy(
        "The platform takes no refund of it any more: it was paid too long ago. Give the money back in another way."
    ),
    "parts": gettext_lazy(
        "The platform takes no further part of it. Give the rest back in another way."
    ),
    "nothing": gettext_lazy("The part of it comes to less than ¥0.01."),
    "left": gettext_lazy("Less than that is left of it to refund."),
    "rules": gettext_lazy("The refund rules refuse it."),
    "needs_more": gettext_lazy(
        "The refund rules now ask for more confirmations than this batch was given. Refund it by itself."
    ),
    "not_paid": gettext_lazy("It is no longer paid."),
    "not_found": gettext_lazy("It is not there any more."),
    "fault": gettext_lazy(
        "The portal could not make it; whoever runs the portal finds why in its log. Nothing was sent, and it can be tried again."
    ),
    "needs_a_member": gettext_lazy("Nobody is there who asks for it."),
}

#: The words of ``selectors.ROW_GROUPS``.
GROUPS: Final[Mapping[str, Promise]] = {
    "planned": gettext_lazy("Not yet its turn"),
    "under_way": gettext_lazy("On its way"),
    "attention": gettext_lazy("Needs attention"),
    "done": gettext_lazy("Refunded"),
    "failed": gettext_lazy("Failed"),
    "stopped": gettext_lazy("Stopped before"),
}


def why_words(why: str) -> str:
    """Why a payment is left out, as a sentence."""
    return str(WHY.get(why, why))


def payments_words(count: int) -> str:
    """``12 payments``."""
    return ngettext("%(number)s payment", "%(number)s payments", count) % {"number": grouped(count)}


def share_words(kind: str, value: int) -> str:
    """How much of each goes back."""
    if kind == ShareKind.PERCENT:
        text = f"{value / 100:.2f}".rstrip("0").rstrip(".")
        return _("%(percent)s %% of what was paid") % {"percent": text}
    if kind == ShareKind.FIXED:
        return _("%(amount)s of each") % {"amount": Money(value).display()}
    return _("all that is left of each")


def wish_words(wish: BatchWish, names: Mapping[str, str]) -> str:
    """By what the payments were chosen. ``names``: of its ``code`` and ``store``."""
    parts = []
    if wish.code_id is not None:
        parts.append(_("code %(name)s") % {"name": names.get("code") or wish.code_id})
    if wish.code_kind:
        parts.append(str(ScenarioKind(wish.code_kind).label))
    if wish.store_id is not None:
        parts.append(names.get("store") or str(wish.store_id))
    if wish.platform:
        parts.append(platform_label(wish.platform))
    if wish.date_from and wish.date_to:
        days = {"first": wish.date_from.isoformat(), "last": wish.date_to.isoformat()}
        parts.append(
            days["first"] if wish.date_from == wish.date_to else _("%(first)s to %(last)s") % days
        )
    elif wish.date_from:
        parts.append(_("from %(day)s") % {"day": wish.date_from.isoformat()})
    elif wish.date_to:
        parts.append(_("until %(day)s") % {"day": wish.date_to.isoformat()})
    if wish.amount_min is not None:
        parts.append(_("%(amount)s or more") % {"amount": Money(wish.amount_min).display()})
    if wish.amount_max is not None:
        parts.append(_("%(amount)s or less") % {"amount": Money(wish.amount_max).display()})
    return " · ".join(parts) or _("all payments")


def outcome_words(outcome: Outcome) -> str:
    """What the rules ask of a row."""
    if outcome.refuses:
        return _("Refused by the rules")
    if not outcome.confirmations:
        return _("Without a confirmation")
    return ngettext(
        "With %(count)d confirmation", "With %(count)d confirmations", outcome.confirmations
    ) % {"count": outcome.confirmations}


def outcome_facts(found: Mapping[str, tuple[int, int]]) -> list[tuple[str, str]]:
    """What the rules asked of the rows: how many and how much, by outcome."""
    return [
        (
            outcome_words(OUTCOMES[code]),
            f"{payments_words(count)} · {Money(minor).display()}",
        )
        for code, (count, minor) in found.items()
    ]


def row_words(row: RefundBatchRow) -> str:
    """What is to be said of a row beyond its state; "" where that says it all."""
    if row.state == BatchRowState.REFUSED:
        return why_words(row.problem)
    refund = row.made
    if refund is None:
        return ""
    if refund.state in {RefundState.CANCELLED, RefundState.REJECTED}:
        return end_words(refund)
    return str(answer_of(refund))
