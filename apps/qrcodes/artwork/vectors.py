"""A code as SVG: for print shops, designers, and the preview on the page."""

from __future__ import annotations

import base64
from xml.sax.saxutils import escape, quoteattr

from apps.qrcodes.artwork.design import PLAIN, Design, logo_box
from apps.qrcodes.artwork.fonts import BOLD
from apps.qrcodes.artwork.matrix import QUIET_ZONE, Level, modules
from apps.qrcodes.artwork.placard import Placard, caption
from apps.qrcodes.artwork.shapes import svg_path

FAMILIES = (
    "PingFang SC, Noto Sans SC, Source Han Sans SC, Microsoft YaHei, Helvetica, Arial, sans-serif"
)
_WEIGHT = ' font-weight="700"'


def render_svg(
    placard: Placard,
    *,
    width_mm: int = 60,
    captioned: bool = True,
    level: Level | None = None,
    design: Design = PLAIN,
) -> bytes:
    """The code with its quiet zone as SVG of ``width_mm`` millimetres: one path for all modules, one unit a module.

    A logo is the only thing made of pixels, and is inside the file. Captions are text in the reader's own fonts, so any
    script may appear in them. ``level`` replaces the design's. Raises TextTooLong, DesignRefused, InvalidContent.
    """
    matrix = modules(placard.link, level or design.level)
    patch = design.patch(len(matrix))
    edge = len(matrix) + 2 * QUIET_ZONE
    height = float(edge)
    texts = ""
    if captioned:
        below = caption(placard)
        height += below.height * edge
        texts = "".join(
            f'<text x="{_number(edge / 2)}" y="{_number(edge * (1 + line.baseline))}"'
            f' font-size="{_number(line.size * edge)}"{_WEIGHT if line.font == BOLD else ""}'
            f' fill="#{line.grey:02x}{line.grey:02x}{line.grey:02x}">{escape(line.text)}</text>'
            for line in below.lines
        )
        texts = f'<g text-anchor="middle" font-family={quoteattr(FAMILIES)}>{texts}</g>'
    ground = ""
    if design.background.upper() != "#FFFFFF":
        ground = f'<path fill="{design.background.lower()}" d="M0 0h{edge}v{edge}H0z"/>'
    # Curves would be left ragged by what keeps squares crisp.
    crisp = ' shape-rendering="crispEdges"' if design.shape == "square" else ""
    markup = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width_mm}mm" height="{_number(width_mm * height / edge)}mm"'
        f' viewBox="0 0 {edge} {_number(height)}">'
        f"<title>{escape(placard.title)}</title>"
        f'<path fill="#fff" d="M0 0h{edge}v{_number(height)}H0z"/>{ground}'
        f'<path fill="{_short(design.foreground)}"{crisp} d="{svg_path(matrix, border=QUIET_ZONE, shape=design.shape)}"/>'
        f"{_logo(design, edge, patch)}{texts}</svg>\n"
    )
    return markup.encode()


def _logo(design: Design, edge: int, patch: int) -> str:
    if design.logo is None:
        return ""
    start = (edge - patch) / 2
    width, height = logo_box(design.logo, patch)
    data = base64.b64encode(design.logo.data).decode()
    return (
        f'<path fill="{design.background.lower()}" d="M{_number(start)} {_number(start)}h{patch}v{patch}h-{patch}z"/>'
        f'<image x="{_number((edge - width) / 2)}" y="{_number((edge - height) / 2)}" width="{_number(width)}"'
        f' height="{_number(height)}" href="data:image/png;base64,{data}"/>'
    )


def _short(colour: str) -> str:
    """Black as it has always been written; other colours in full."""
    return "#000" if colour == "#000000" else colour.lower()


def _number(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".")
