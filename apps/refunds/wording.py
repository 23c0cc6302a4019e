"""Words of this room that others show."""

from __future__ import annotations

from django.utils.translation import ngettext


def requests_words(count: int) -> str:
    """How many customers ask for money back."""
    return ngettext(
        "%(count)d customer asks for money back", "%(count)d customers ask for money back", count
    ) % {"count": count}
