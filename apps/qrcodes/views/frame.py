"""What the pages about codes share."""

from __future__ import annotations

from django.http import Http404

from apps.qrcodes.artwork import (
    Placard,
    TextTooLong,
    UnprintableText,
)
from apps.qrcodes.artwork.fonts import require_printable
from apps.qrcodes.artwork.placard import caption
from apps.qrcodes.models import QRCode
from apps.qrcodes.printing import missing_words, too_long_words
from apps.qrcodes.selectors import (
    get_code,
)


def code_or_404(code_id: int) -> QRCode:
    """A code of the stores in scope. Raises Http404."""
    try:
        return get_code(code_id)
    except QRCode.DoesNotExist as error:
        raise Http404 from error


def number_of(text: str) -> int | None:
    """An id in an address, None where it is none."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None


def print_problem(error: UnprintableText | TextTooLong) -> str:
    """The sentence about words that cannot be printed."""
    if isinstance(error, TextTooLong):
        return too_long_words(error.text)
    return missing_words(error.characters)


def problem_of(placard: Placard) -> str:
    """Why the placard cannot be printed, found without drawing it; "" when it can."""
    try:
        require_printable(*placard.texts)
        caption(placard)
    except (UnprintableText, TextTooLong) as error:
        return print_problem(error)
    return ""
