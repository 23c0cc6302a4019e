"""The badge of 54 × 86 mm, for a lanyard or a clip, with the place of its slot marked."""

from __future__ import annotations

from typing import Final

from apps.qrcodes.artwork.colours import BLACK, GREY, PALE, cmyk, luminance
from apps.qrcodes.artwork.fitting import fit
from apps.qrcodes.artwork.fonts import BOLD, REGULAR, tidy
from apps.qrcodes.artwork.pen import Pen, height_of, ink_on
from apps.qrcodes.artwork.placard import Placard

#: In mm, as are all measures here.
WIDTH: Final = 54.0
HEIGHT: Final = 86.0
#: Card printers do not reach the very edge.
_MARGIN = 3.0
_INNER = WIDTH - 2 * _MARGIN
_MIDDLE = WIDTH / 2
#: The usual slot punch, and how far below the edge it goes.
_SLOT = (14.0, 3.0, 3.5)


def draw(pen: Pen, placard: Placard) -> None:
    """One badge. Raises TextTooLong, DesignRefused, InvalidContent."""
    width, height, top = _SLOT
    pen.box(
        _MIDDLE - width / 2,
        top,
        width,
        height,
        fill=None,
        radius=height / 2,
        stroke=PALE,
        line=0.2,
    )
    accent = placard.accent
    who = fit(
        tidy(placard.scenario) or tidy(placard.shop_name),
        width=_INNER - 5,
        size=5.6,
        smallest=2.4,
        lines=2,
        font=BOLD,
    )
    shop = fit(placard.badge_place, width=_INNER - 5, size=3, smallest=1.7, lines=2, font=REGULAR)
    field = 3 + height_of(who) + (height_of(shop) + 0.4 if shop.lines else 0)
    edge = 8.5
    pen.box(
        _MARGIN,
        edge,
        _INNER,
        field,
        fill=cmyk(accent),
        radius=2,
        stroke=PALE if luminance(accent) > 0.8 else None,
    )
    ink = ink_on(accent)
    y = pen.lines(who, BOLD, edge + 1.5, colour=ink, middle=_MIDDLE)
    pen.lines(shop, REGULAR, y + 0.4, colour=ink, middle=_MIDDLE)
    bottom = HEIGHT - _MARGIN
    reference = fit(
        tidy(placard.reference), width=_INNER, size=2, smallest=1.2, lines=1, font=REGULAR
    )
    pen.lines(reference, REGULAR, bottom - height_of(reference), colour=GREY, middle=_MIDDLE)
    bottom -= height_of(reference) + 0.8
    bottom = pen.wallets(
        placard,
        left=_MARGIN,
        width=_INNER,
        bottom=bottom,
        height=4.2,
        gap=1.2,
        size=2.3,
        radius=1.1,
        columns=min(len(placard.wallets), 3) or 1,
    )
    words = " · ".join(part for part in (placard.price, " ".join(placard.call)) if part)
    call = fit(words, width=_INNER, size=3.6, smallest=2, lines=1, font=BOLD)
    bottom -= height_of(call) + 0.8
    pen.lines(call, BOLD, bottom, colour=BLACK, middle=_MIDDLE)
    top = edge + field + 1.2
    code = min(bottom - 0.6 - top, _INNER)
    left, upper = _MIDDLE - code / 2, top + (bottom - 0.6 - top - code) / 2
    pen.box(
        left, upper, code, code, fill=cmyk(pen.design.background), radius=1.2, stroke=PALE, line=0.2
    )
    pen.code(placard.link, left + 0.5, upper + 0.5, code - 1)
