"""Stickers, square and round: the code on its own ground, words around it on the shop's colour, which bleeds over the cut."""

from __future__ import annotations

from math import sqrt
from typing import Final

from apps.qrcodes.artwork.colours import cmyk
from apps.qrcodes.artwork.fitting import Fitted, TextTooLong, fit
from apps.qrcodes.artwork.fonts import BOLD, REGULAR, tidy
from apps.qrcodes.artwork.pen import Pen, height_of, ink_on
from apps.qrcodes.artwork.placard import Placard

#: How far the colour runs over the cut, in mm.
BLEED: Final = 3.0


def draw_square(pen: Pen, placard: Placard, edge: float) -> None:
    """A square sticker of ``edge`` mm; the sheet begins BLEED before it. Raises TextTooLong, DesignRefused."""
    pen.box(0, 0, edge + 2 * BLEED, edge + 2 * BLEED, fill=cmyk(placard.accent))
    strip = edge * 0.125
    _panel_and_words(pen, placard, edge, code=edge - 2 * strip, inside=edge - 4, strip=strip)


def draw_round(pen: Pen, placard: Placard, edge: float) -> None:
    """A round sticker of ``edge`` mm across; the sheet begins BLEED before it. Raises TextTooLong, DesignRefused."""
    middle = edge / 2 + BLEED
    pen.disc(middle, middle, middle, fill=cmyk(placard.accent))
    code = edge * 0.64
    strip = (edge - code) / 2
    # Words stand where the circle is at least this wide.
    high = strip * 0.62
    inside = 2 * sqrt((edge / 2) ** 2 - (edge / 2 - strip + high) ** 2) - 1.5
    _panel_and_words(pen, placard, edge, code=code, inside=inside, strip=high)


def _panel_and_words(
    pen: Pen, placard: Placard, edge: float, *, code: float, inside: float, strip: float
) -> None:
    """The code in the middle; the shop above; below it where the sticker hangs, or else the invitation to scan."""
    middle = edge / 2 + BLEED
    left = middle - code / 2
    pen.box(left, left, code, code, fill=cmyk(pen.design.background), radius=code * 0.03)
    inset = code * 0.012
    pen.code(placard.link, left + inset, left + inset, code - 2 * inset)
    ink = ink_on(placard.accent)
    call = " ".join(placard.call)
    below = " · ".join(part for part in (tidy(placard.scenario), placard.price) if part) or call
    for words, font, above in ((tidy(placard.shop_name), BOLD, True), (below, REGULAR, False)):
        line = _strip_line(words, font, inside, strip)
        gap = (strip - height_of(line)) / 2
        top = left - strip + gap if above else left + code + gap
        pen.lines(line, font, top, colour=ink, middle=middle)


def _strip_line(words: str, font: str, width: float, strip: float) -> Fitted:
    """One line if it stays readable, else two, within ``strip``."""
    try:
        return fit(words, width=width, size=strip * 0.6, smallest=strip * 0.36, lines=1, font=font)
    except TextTooLong:
        return fit(words, width=width, size=strip * 0.4, smallest=1.2, lines=2, font=font)
