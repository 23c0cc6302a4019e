"""A code as SVG: for print shops and designers."""

from __future__ import annotations

from xml.sax.saxutils import escape, quoteattr

from apps.qrcodes.artwork.fonts import BOLD
from apps.qrcodes.artwork.matrix import QUIET_ZONE, Level, modules, path_data
from apps.qrcodes.artwork.placard import Placard, caption

_FAMILIES = (
    "PingFang SC, Noto Sans SC, Source Han Sans SC, Microsoft YaHei, Helvetica, Arial, sans-serif"
)
_WEIGHT = ' font-weight="700"'


def render_svg(
    placard: Placard, *, width_mm: int = 60, captioned: bool = True, level: Level = "M"
) -> bytes:
    """The code with its quiet zone as SVG of ``width_mm`` millimetres: one path for all modules, one unit a module.

    Captions are text in the reader's own fonts, so any script may appear in them. Raises TextTooLong.
    """
    matrix = modules(placard.link, level)
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
        texts = f'<g text-anchor="middle" font-family={quoteattr(_FAMILIES)}>{texts}</g>'
    markup = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width_mm}mm" height="{_number(width_mm * height / edge)}mm"'
        f' viewBox="0 0 {edge} {_number(height)}">'
        f"<title>{escape(placard.title)}</title>"
        f'<path fill="#fff" d="M0 0h{edge}v{_number(height)}H0z"/>'
        f'<path fill="#000" shape-rendering="crispEdges" d="{path_data(matrix, border=QUIET_ZONE)}"/>'
        f"{texts}</svg>\n"
    )
    return markup.encode()


def _number(value: float) -> str:
    return f"{value:.3f}".rstrip("0").rstrip(".")
