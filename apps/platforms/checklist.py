"""What to look at before signing with a platform: what, and why it matters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to look at."""

    title: Promise
    why: Promise


ITEMS: Final[Mapping[str, Item]] = {
    "parties": Item(
        _("Who signs"),
        _(
            "The company named is the platform or an acquirer with a payment licence, and your own name is that of your licence."
        ),
    ),
    "rate": Item(
        _("Rate, cap and rounding"),
        _(
            "The rate of every wallet and product you will use, from which amount it changes, its cap, and how half a fen is rounded."
        ),
    ),
    "extra_fees": Item(
        _("Other charges"),
        _(
            "Yearly fees, fees for devices, withdrawals or codes, and what a month without payments costs."
        ),
    ),
    "promotion": Item(
        _("Rates for a limited time"),
        _("Until when a reduced rate holds, and which rate follows it."),
    ),
    "settlement": Item(
        _("When the money arrives"),
        _(
            "Days until payout, whether holidays count, the least amount, and when the platform may hold money back."
        ),
    ),
    "refunds": Item(
        _("Refunds"),
        _(
            "For how long refunds are taken, whether the fee comes back, and what happens if the balance is too low."
        ),
    ),
    "limits": Item(
        _("Limits"),
        _(
            "The most for one payment and one day, by card and by wallet, and how to have them raised."
        ),
    ),
    "deposit": Item(
        _("Deposit"),
        _("How much is kept, for what it may be used, and when it comes back."),
    ),
    "disputes": Item(
        _("Disputes and compensation"),
        _(
            "Who bears a disputed or stolen payment, within how many days you must answer, and what you may be charged."
        ),
    ),
    "security": Item(
        _("Security duties"),
        _(
            "What you must do about keys, staff, devices and customers' data, and whom to tell of an incident."
        ),
    ),
    "scenario": Item(
        _("Where you may take money"),
        _(
            "Trade, place and kind of sale are those of your shop: a code used elsewhere can be frozen."
        ),
    ),
    "term": Item(
        _("Term and leaving"),
        _(
            "When it ends, whether it renews by itself, how long notice is, and what leaving early costs."
        ),
    ),
    "changes": Item(
        _("Changes by the platform"),
        _("How you are told of new rates or rules, and whether you may leave because of them."),
    ),
}
