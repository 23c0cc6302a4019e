"""Why an adjustment that waited was never booked, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from apps.ledger import followers
from apps.ledger.models import Adjustment, AdjustmentState

_WORDS: Final[Mapping[str, Promise]] = {
    "withdrawn": _("It was withdrawn."),
    "expired": _("Nobody decided in time."),
    "changed": _("What was to be confirmed had changed since it was asked for."),
}


def ending_words(adjustment: Adjustment) -> str:
    """Why it ended by itself, as a sentence; of a refused one the second person's own words. "" for all others."""
    if adjustment.state == AdjustmentState.REJECTED:
        return adjustment.message
    if adjustment.state != AdjustmentState.CANCELLED:
        return ""
    return str(_WORDS.get(adjustment.message) or followers.words(adjustment))
