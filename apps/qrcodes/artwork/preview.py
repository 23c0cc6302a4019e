"""A printed page as SVG, for the screen: drawn by the very layouts that print it."""

from __future__ import annotations

import base64
from xml.sax.saxutils import escape, quoteattr

from reportlab.lib.colors import CMYKColor
from typing_extensions import override

from apps.qrcodes.artwork.design import Design, logo_box
from apps.qrcodes.artwork.fonts import BOLD, measure
from apps.qrcodes.artwork.formats import Format
from apps.qrcodes.artwork.matrix import QUIET_ZONE, Matrix
from apps.qrcodes.artwork.pen import Pen
from apps.qrcodes.artwork.placard import WALLET_MARKS, Placard
from apps.qrcodes.artwork.shapes import svg_path
from apps.qrcodes.artwork.vectors import FAMILIES

#: Their inks were chosen for paper, so a computed colour would be too loud.
_WALLET_COLOURS = {mark.inks: mark.colour for mark in WALLET_MARKS.values()}


def render_preview(form: Format, placard: Placard, design: Design) -> bytes:
    """One page of ``form`` with the same placard on every piece, in millimetres.

    Letters are the reader's own, stretched to the width that ours take. Raises TextTooLong, InvalidContent, DesignRefused.
    """
    pen = _SvgPen(design, form.cell[1] / form.enlargement, form.enlargement)
    form.draw(pen, placard)
    width, height = form.cell
    uses = []
    for cells in form.groups:
        for cell in cells:
            place = f"translate({_n(cell.x)} {_n(cell.y)})"
            if cell.turned:
                place = f"translate({_n(cell.x + width)} {_n(cell.y + height)}) rotate(180)"
            uses.append(f'<use href="#piece" transform="{place}"/>')
    marks = _SvgPen(design, form.height)
    form.marks(marks)
    markup = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_n(form.width)} {_n(form.height)}">'
        f"<title>{escape(placard.title)}</title>"
        f'<path fill="#fff" d="M0 0h{_n(form.width)}v{_n(form.height)}H0z"/>'
        f'<defs><g id="piece" font-family={quoteattr(FAMILIES)} transform="scale({_n(form.enlargement)})">'
        f"{''.join(pen.parts)}</g></defs>{''.join(uses)}{''.join(marks.parts)}</svg>\n"
    )
    return markup.encode()


def _n(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".") or "0"


def _on_screen(ink: CMYKColor) -> str:
    """The colour that ``colours.cmyk`` made these inks of; a wallet's own where they are its inks."""
    if colour := _WALLET_COLOURS.get(ink.cmyk()):
        return colour
    light = 1 - ink.black
    parts = (round(255 * (1 - part) * light) for part in (ink.cyan, ink.magenta, ink.yellow))
    return "#" + "".join(f"{part:02x}" for part in parts)


class _SvgPen(Pen):
    """Writes what it is told to draw as SVG elements; y runs downwards here as well."""

    def __init__(self, design: Design, height: float, unit_mm: float = 1.0) -> None:
        super().__init__(None, design, height, unit_mm)
        self.parts: list[str] = []

    @override
    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        *,
        fill: CMYKColor | None,
        radius: float = 0,
        stroke: CMYKColor | None = None,
        line: float = 0.25,
    ) -> None:
        """A rectangle."""
        look = f'fill="{"none" if fill is None else _on_screen(fill)}"'
        if stroke is not None:
            look += f' stroke="{_on_screen(stroke)}" stroke-width="{_n(line)}"'
        self.parts.append(
            f'<rect x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}" rx="{_n(radius)}" {look}/>'
        )

    @override
    def disc(self, x: float, y: float, radius: float, *, fill: CMYKColor) -> None:
        """A filled circle."""
        self.parts.append(
            f'<circle cx="{_n(x)}" cy="{_n(y)}" r="{_n(radius)}" fill="{_on_screen(fill)}"/>'
        )

    @override
    def line(
        self,
        x1: float,
        y1: float,
        x2: float,
        y2: float,
        *,
        colour: CMYKColor,
        width: float,
        dash: tuple[float, float] | None = None,
    ) -> None:
        """A straight line."""
        dashes = f' stroke-dasharray="{_n(dash[0])} {_n(dash[1])}"' if dash else ""
        self.parts.append(
            f'<path d="M{_n(x1)} {_n(y1)}L{_n(x2)} {_n(y2)}" stroke="{_on_screen(colour)}"'
            f' stroke-width="{_n(width)}"{dashes}/>'
        )

    @override
    def text(
        self, x: float, baseline: float, text: str, font: str, size: float, *, colour: CMYKColor
    ) -> None:
        """One line of text."""
        weight = ' font-weight="700"' if font == BOLD else ""
        self.parts.append(
            f'<text x="{_n(x)}" y="{_n(baseline)}" font-size="{_n(size)}"{weight} fill="{_on_screen(colour)}"'
            f' textLength="{_n(measure(text, font) * size)}" lengthAdjust="spacingAndGlyphs">{escape(text)}</text>'
        )

    @override
    def ink_code(self, matrix: Matrix, left: float, top: float, module: float) -> None:
        """The modules and the logo."""
        design = self.design
        count = len(matrix) + 2 * QUIET_ZONE
        crisp = ' shape-rendering="crispEdges"' if design.shape == "square" else ""
        self.parts.append(
            f'<g transform="translate({_n(left)} {_n(top)}) scale({module:.5f})">'
            f'<path fill="{design.background}" d="M0 0h{count}v{count}H0z"/>'
            f'<path fill="{design.foreground}"{crisp} d="{svg_path(matrix, border=QUIET_ZONE, shape=design.shape)}"/>'
        )
        if design.logo is not None:
            patch = design.patch(len(matrix))
            start = (count - patch) / 2
            width, height = logo_box(design.logo, patch)
            data = base64.b64encode(design.logo.data).decode()
            self.parts.append(
                f'<path fill="{design.background}" d="M{_n(start)} {_n(start)}h{patch}v{patch}h-{patch}z"/>'
                f'<image x="{_n((count - width) / 2)}" y="{_n((count - height) / 2)}" width="{_n(width)}"'
                f' height="{_n(height)}" href="data:image/png;base64,{data}"/>'
            )
        self.parts.append("</g>")
