"""From a short text to the modules of a QR code, and to a bare image of them.

The modules are made by ``qrcode`` alone. Tests judge the result with another program's decoder, so maker and judge
cannot share a mistake.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import lru_cache
from typing import Literal
from xml.sax.saxutils import escape

import qrcode
from PIL import Image
from qrcode import constants

#: White modules around a code, as ISO/IEC 18004 asks. Less, and old phones fail on busy walls.
QUIET_ZONE = 4
#: The longest content we draw. Longer codes have modules too fine for a placard.
MAX_CONTENT = 600

Level = Literal["L", "M", "Q", "H"]
Matrix = tuple[tuple[bool, ...], ...]

#: By letter, weakest first: what part of a code may be lost is about 7, 15, 25 and 30 percent.
LEVELS: dict[Level, int] = {
    "L": constants.ERROR_CORRECT_L,
    "M": constants.ERROR_CORRECT_M,
    "Q": constants.ERROR_CORRECT_Q,
    "H": constants.ERROR_CORRECT_H,
}


class InvalidContent(ValueError):
    """The text cannot stand in one of our codes: it is empty, too long, or not plain ASCII without spaces."""


@lru_cache(maxsize=256)
def modules(content: str, level: Level = "M") -> Matrix:
    """The dark (True) and light modules of ``content``, row by row from the top, without quiet zone.

    Raises InvalidContent. ASCII only: decoders guess the character set of anything else.
    """
    if not content or len(content) > MAX_CONTENT:
        raise InvalidContent(f"a code holds 1 to {MAX_CONTENT} characters, not {len(content)}")
    if not all("!" <= character <= "~" for character in content):
        raise InvalidContent("a code holds printable ASCII characters without spaces only")
    code = qrcode.QRCode(error_correction=LEVELS[level], border=0)
    code.add_data(content)
    code.make(fit=True)
    return tuple(tuple(bool(module) for module in row) for row in code.modules)


def runs(matrix: Matrix) -> Iterator[tuple[int, int, int]]:
    """Each unbroken horizontal run of dark modules as ``(column, row, length)``, row 0 on top."""
    for y, row in enumerate(matrix):
        start: int | None = None
        for x, dark in enumerate((*row, False)):
            if dark and start is None:
                start = x
            elif not dark and start is not None:
                yield start, y, x - start
                start = None


def bitmap(matrix: Matrix, *, size_px: int, border: int) -> Image.Image:
    """A square one-bit image of ``size_px`` pixels: modules of one whole number of pixels, the rest is white margin.

    Raises ValueError when a module would get less than two pixels.
    """
    count = len(matrix)
    module_px = size_px // (count + 2 * border)
    if module_px < 2:
        raise ValueError(
            f"{size_px} px are too few for {count + 2 * border} modules: take {2 * (count + 2 * border)}"
        )
    dots = Image.new("1", (count, count), 1)
    for x, y, length in runs(matrix):
        dots.paste(0, (x, y, x + length, y + 1))
    edge = count * module_px
    offset = (size_px - edge) // 2
    sheet = Image.new("1", (size_px, size_px), 1)
    sheet.paste(dots.resize((edge, edge), Image.Resampling.NEAREST), (offset, offset))
    return sheet


def png_bytes(image: Image.Image, *, dpi: int) -> bytes:
    """``image`` as PNG whose pHYs chunk states ``dpi`` pixels an inch, so that print programs take the right size."""
    out = io.BytesIO()
    image.save(out, "PNG", dpi=(dpi, dpi), optimize=True)
    return out.getvalue()


def qr_png(
    content: str,
    *,
    size_px: int = 512,
    border: int = QUIET_ZONE,
    level: Level = "M",
    dpi: int = 300,
) -> bytes:
    """A bare code as PNG, ``size_px`` pixels wide with its quiet zone of ``border`` modules.

    Raises InvalidContent, and ValueError when ``size_px`` is too small for the content.
    """
    return png_bytes(bitmap(modules(content, level), size_px=size_px, border=border), dpi=dpi)


def qr_svg(content: str, *, border: int = QUIET_ZONE, level: Level = "M", label: str = "") -> str:
    """A bare code as SVG markup to be put into a page: no id, style, script or size, so CSS alone says how large it is.

    ``label`` names it for screen readers; without one the image is hidden from them. Raises InvalidContent.
    """
    matrix = modules(content, level)
    edge = len(matrix) + 2 * border
    path = "".join(
        f"M{x + border} {y + border}h{length}v1h-{length}z" for x, y, length in runs(matrix)
    )
    name = f"<title>{escape(label)}</title>" if label else ""
    role = 'role="img"' if label else 'aria-hidden="true"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {edge} {edge}" shape-rendering="crispEdges" {role}>'
        f'{name}<path fill="#fff" d="M0 0h{edge}v{edge}H0z"/><path fill="#000" d="{path}"/>'
        "</svg>"
    )
