"""The placard: made for A6 and enlarged for A5 and A4; only the 50 mm line at the foot is never enlarged."""

from __future__ import annotations

from typing import Final

from apps.qrcodes.artwork.colours import BLACK, GREY, PALE, WHITE, cmyk, luminance
from apps.qrcodes.artwork.fitting import fit
from apps.qrcodes.artwork.fonts import BOLD, REGULAR, measure, tidy
from apps.qrcodes.artwork.pen import ASCENT, Pen, height_of, ink_on
from apps.qrcodes.artwork.placard import Placard

#: Of the A6 design, in mm.
WIDTH: Final = 105.0
_MARGIN = 6.5
_INNER = WIDTH - 2 * _MARGIN
_MIDDLE = WIDTH / 2


def draw(pen: Pen, placard: Placard) -> None:
    """One placard on a sheet that is WIDTH units wide. Raises TextTooLong, DesignRefused, InvalidContent."""
    top = _header(pen, placard)
    bottom = _foot(pen, placard)
    columns = 3 if len(placard.wallets) % 3 == 0 else 2
    bottom = pen.wallets(
        placard,
        left=_MARGIN,
        width=_INNER,
        bottom=bottom - 3.2,
        height=8.0,
        gap=3.0 if columns == 2 else 2.0,
        size=4,
        radius=2.2,
        columns=columns,
    )
    bottom = _invitation(pen, placard, bottom - 3.4)
    _code(pen, placard, top + 3, bottom - 2.4)


def _header(pen: Pen, placard: Placard) -> float:
    """The coloured field with shop and store, and the scenario's label on its lower edge; the edge below."""
    accent, top = placard.accent, _MARGIN
    ink = ink_on(accent)
    width = _INNER - 10
    shop = fit(tidy(placard.shop_name), width=width, size=10, smallest=4.2, lines=3, font=BOLD)
    store = fit(tidy(placard.store_name), width=width, size=4.8, smallest=3, lines=2, font=REGULAR)
    scenario = fit(
        tidy(placard.scenario), width=_INNER - 26, size=6, smallest=3.4, lines=2, font=BOLD
    )
    label_height = height_of(scenario) + 3 if scenario.lines else 0
    field = 4.5 + height_of(shop) + 3.5 + label_height / 2
    field += 1 + height_of(store) if store.lines else 0
    pale = luminance(accent) > 0.8
    pen.box(
        _MARGIN, top, _INNER, field, fill=cmyk(accent), radius=3.5, stroke=PALE if pale else None
    )
    y = pen.lines(shop, BOLD, top + 4.5, colour=ink, middle=_MIDDLE)
    if store.lines:
        pen.lines(store, REGULAR, y + 1, colour=ink, middle=_MIDDLE)
    if not scenario.lines:
        return top + field
    widest = max(measure(line, BOLD) for line in scenario.lines) * scenario.size
    label = max(widest + 11, 34)
    edge = top + field - label_height / 2
    pen.box(
        _MIDDLE - label / 2,
        edge,
        label,
        label_height,
        fill=WHITE,
        radius=min(label_height / 2, 4.6),
        stroke=GREY if pale else cmyk(accent),
        line=0.7,
    )
    pen.lines(scenario, BOLD, edge + 1.5, colour=BLACK, middle=_MIDDLE)
    return edge + label_height


def _code(pen: Pen, placard: Placard, top: float, bottom: float) -> None:
    """The code in the middle of what is left, in a thin frame outside its quiet zone."""
    edge = min(bottom - top, 72.0)
    left, upper = _MIDDLE - edge / 2, top + (bottom - top - edge) / 2
    pen.box(
        left,
        upper,
        edge,
        edge,
        fill=cmyk(pen.design.background),
        radius=2.2,
        stroke=PALE,
        line=0.3,
    )
    # So far inside, the frame's round corners stay out of the quiet zone too.
    inset = 0.9
    pen.code(placard.link, left + inset, upper + inset, edge - 2 * inset)


def _invitation(pen: Pen, placard: Placard, bottom: float) -> float:
    """The invitation to scan and, above it, the fixed price; the edge above."""
    words = placard.call
    sizes = (6.4, 4.8)[: len(words)]
    fonts = (BOLD, REGULAR)[: len(words)]
    gap = 2.4
    widths = [measure(w, f) * s for w, s, f in zip(words, sizes, fonts, strict=True)]
    x = _MIDDLE - (sum(widths) + gap * (len(words) - 1)) / 2
    baseline = bottom - 1
    for word, size, font, width in zip(words, sizes, fonts, widths, strict=True):
        pen.text(x, baseline, word, font, size, colour=BLACK)
        x += width + gap
    top = baseline - sizes[0] * ASCENT
    if placard.price:
        price = fit(placard.price, width=_INNER, size=10.5, smallest=4, lines=1, font=BOLD)
        top -= height_of(price) + 0.9
        pen.lines(price, BOLD, top, colour=BLACK, middle=_MIDDLE)
    return top


def _foot(pen: Pen, placard: Placard) -> float:
    """A line of 50 true millimetres on the left, the reference on the right; the edge above."""
    unit = 1 / pen.unit_mm  # one millimetre of paper
    bottom = pen.height - _MARGIN
    left, right = _MARGIN + 0.5 * unit, WIDTH - _MARGIN
    y = bottom - 0.4 * unit
    pen.ruler(left, y, placard.ruler_note)
    reference = tidy(placard.reference)
    if reference:
        fitted = fit(
            reference,
            width=right - left - 54 * unit,
            size=3.2 * unit**0.5,
            smallest=1.6 * unit,
            lines=1,
            font=REGULAR,
        )
        width = measure(reference, REGULAR) * fitted.size
        pen.text(right - width, y, reference, REGULAR, fitted.size, colour=GREY)
    return bottom - 5.2 * unit
