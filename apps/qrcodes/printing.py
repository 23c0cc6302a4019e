"""Whether a name can be printed, asked before it is stored: what hangs on a wall cannot be corrected later."""

from __future__ import annotations

from collections.abc import Iterable

from django.utils.translation import gettext as _
from django.utils.translation import ngettext


def missing_words(characters: Iterable[str]) -> str:
    """The sentence that names the characters which the printing font lacks."""
    missing = tuple(characters)
    return ngettext(
        "The printing font has no %(characters)s. Take it out of the names.",
        "The printing font lacks these characters: %(characters)s. Take them out of the names.",
        len(missing),
    ) % {"characters": " ".join(missing)}


def too_long_words(text: str) -> str:
    """The sentence about a text that no placard has room for."""
    return _("“%(text)s” is too long to be printed readably. Shorten the name.") % {"text": text}


def unprintable_words(text: str) -> str:
    """Why a name cannot be printed; "" where it can."""
    # Here, not above: the fonts take their time to load, and most processes never print.
    from apps.qrcodes.artwork.fonts import missing_glyphs

    missing = missing_glyphs(text)
    return missing_words(missing) if missing else ""
