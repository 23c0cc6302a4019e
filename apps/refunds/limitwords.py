"""A platform's limits in words: what is known before anybody asks for a refund."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from apps.core.clock import CHINA
from apps.platforms.selectors.refunding import Allowance


def _day_or_minute(ends_at: datetime) -> str:
    """The last day, where a moment is the midnight after it; else the moment to the minute."""
    local = ends_at.astimezone(CHINA)
    if (local.hour, local.minute, local.second) == (0, 0, 0):
        return (local - timedelta(days=1)).date().isoformat()
    return f"{local:%Y-%m-%d %H:%M}"


def _clock(at: datetime, now: datetime) -> str:
    """The minute in which a moment has come, with its day where that is another; rounded up."""
    local = (at + timedelta(seconds=59)).astimezone(CHINA)
    same = local.date() == now.astimezone(CHINA).date()
    return f"{local:%H:%M}" if same else f"{local:%Y-%m-%d %H:%M}"


def window_sentence(allowance: Allowance) -> str:
    """That the platform takes no refund of a payment any more, and what else can be done."""
    if allowance.ends_at is None:
        return ""
    words = {"day": _day_or_minute(allowance.ends_at), "days": allowance.agreed_days}
    if allowance.agreed_days is not None:
        return (
            _(
                "By your agreement the platform takes refunds for %(days)d days; of this payment it did until %(day)s. Give the money back in another way, and book it as an adjustment."
            )
            % words
        )
    return (
        _(
            "The platform took refunds of this payment until %(day)s. Give the money back in another way, and book it as an adjustment."
        )
        % words
    )


def parts_sentence(allowance: Allowance) -> str:
    """That a payment was split as often as the platform allows."""
    return _(
        "The platform takes at most %(parts)d refunds of one payment, and this one has had so many. Give the rest back in another way, and book it as an adjustment."
    ) % {"parts": allowance.parts or 0}


def refusal_sentence(allowance: Allowance, now: datetime) -> str:
    """Why no refund asked for now would be taken; "" where one would be."""
    sentences = {"window": window_sentence, "parts": parts_sentence}
    why = allowance.refuses(now)
    return sentences[why](allowance) if why else ""


def limit_words(allowance: Allowance, now: datetime) -> list[str]:
    """What is known of the platform's limits, a few words each; none where there is no limit."""
    words = []
    if allowance.ends_at is not None:
        until = _day_or_minute(allowance.ends_at)
        words.append(
            _("can be refunded until %(day)s, by your agreement") % {"day": until}
            if allowance.agreed_days is not None
            else _("can be refunded until %(day)s") % {"day": until}
        )
    if allowance.parts_left is not None and allowance.parts is not None:
        words.append(
            ngettext(
                "%(left)d of %(parts)d part left",
                "%(left)d of %(parts)d parts left",
                allowance.parts,
            )
            % {"left": allowance.parts_left, "parts": allowance.parts}
        )
    if allowance.next_at is not None:
        words.append(_("next part from %(time)s") % {"time": _clock(allowance.next_at, now)})
    if allowance.cancel_until is not None:
        words.append(
            _("the whole of it is cancelled until %(time)s, which is faster")
            % {"time": f"{allowance.cancel_until.astimezone(CHINA):%H:%M}"}
        )
    return words
