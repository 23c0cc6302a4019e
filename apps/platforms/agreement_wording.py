"""Agreements in plain words: ways to pay, percent, what comes back, how long something still holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from apps.core.money import Money
from apps.platforms.fees import FeeRule
from apps.platforms.gateway import Product
from apps.platforms.models import FeeRounding, FeeTier, PlatformChoice
from apps.platforms.selectors.agreements import SOON_DAYS

PRODUCTS: Final[Mapping[str, Promise]] = {
    Product.IN_APP.value: gettext_lazy("Inside the wallet"),
    Product.DYNAMIC_QR.value: gettext_lazy("Code on a screen"),
    Product.BROWSER.value: gettext_lazy("Phone's browser"),
    Product.BARCODE.value: gettext_lazy("Customer's payment code"),
}


def percent(ppm: int) -> str:
    """Millionths as percent without needless zeros: 6000 is ``0.6``."""
    text = format(Decimal(ppm) / 10_000, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


@dataclass(frozen=True, slots=True)
class TierWords:
    """One rate in words."""

    wallet: str
    product: str
    begins: str
    rate: str
    cap: str
    least: str
    rounding: str


def tier_words(tier: FeeTier | FeeRule) -> TierWords:
    """A stored rate, or a rule, in words; "–" where it has no cap or least fee."""
    return TierWords(
        wallet=str(PlatformChoice(tier.wallet).label) if tier.wallet else _("Any wallet"),
        product=str(PRODUCTS.get(tier.product, tier.product)) if tier.product else _("Any way"),
        begins=Money(tier.from_minor).display(),
        rate=f"{percent(tier.rate_ppm)} %",
        cap="–" if tier.cap_minor is None else Money(tier.cap_minor).display(),
        least=Money(tier.least_minor).display() if tier.least_minor else "–",
        rounding=str(FeeRounding(tier.rounding).label),
    )


def rate_summary(tiers: Sequence[FeeTier | FeeRule]) -> str:
    """The rates on one line: ``0.38 %–0.6 %``."""
    rates = sorted({tier.rate_ppm for tier in tiers})
    return "–".join(
        f"{percent(rate)} %" for rate in ([rates[0], rates[-1]] if rates[1:] else rates)
    )


def fee_back_words(ppm: int) -> str:
    """What of a fee comes back with a refund."""
    if ppm == 0:
        return _("The fee stays with the platform")
    if ppm == 1_000_000:
        return _("The fee comes back with the refund, by its share")
    return _("%(share)s %% of the fee comes back, by the refund's share") % {"share": percent(ppm)}


def cycle_words(*, days: int, working: bool) -> str:
    """When the money of a day is paid out."""
    if days == 0:
        return _("On the same day (T+0)")
    if working:
        return ngettext(
            "%(days)d working day later (T+%(days)d)",
            "%(days)d working days later (T+%(days)d)",
            days,
        ) % {"days": days}
    return ngettext("%(days)d day later (D+%(days)d)", "%(days)d days later (D+%(days)d)", days) % {
        "days": days
    }


@dataclass(frozen=True, slots=True)
class TermWords:
    """How an agreement's term stands: a word, its tone and icon."""

    text: str
    tone: str
    icon: str


def term_words(*, until: date | None, renews: bool, today: date) -> TermWords:
    """How long an agreement still holds. ``until``: its last day, or that of its present term."""
    if until is None:
        return TermWords(_("Without an end"), "ok", "circle-check")
    days = (until - today).days
    if days < 0:
        return TermWords(_("Ended on %(day)s") % {"day": until.isoformat()}, "bad", "clock-x")
    words = _("Renews after %(day)s") if renews else _("Ends on %(day)s")
    said = words % {"day": until.isoformat()}
    if days <= SOON_DAYS:
        left = ngettext("in %(days)d day", "in %(days)d days", days) % {"days": days}
        return TermWords(f"{said} ({left})", "wait", "hourglass")
    return TermWords(said, "ok", "circle-check")
