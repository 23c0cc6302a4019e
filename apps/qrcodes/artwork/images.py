"""A code as PNG: for screens, chats and shop windows' own designs."""

from __future__ import annotations

from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

from apps.qrcodes.artwork.fonts import font_path, require_printable
from apps.qrcodes.artwork.matrix import QUIET_ZONE, Level, bitmap, modules, png_bytes
from apps.qrcodes.artwork.placard import Placard, caption


def render_png(
    placard: Placard,
    *,
    size_px: int = 1024,
    captioned: bool = False,
    level: Level = "M",
    dpi: int = 300,
) -> bytes:
    """The code with its quiet zone, ``size_px`` pixels wide; ``captioned`` adds the names below and so some height.

    ``dpi`` is what the file states: 1024 px at 300 dpi print 87 mm wide. Raises ValueError when ``size_px`` gives a module
    less than two pixels; with a caption also UnprintableText and TextTooLong.
    """
    code = bitmap(modules(placard.link, level), size_px=size_px, border=QUIET_ZONE)
    if not captioned:
        return png_bytes(code, dpi=dpi)
    require_printable(*placard.texts)
    below = caption(placard)
    sheet = Image.new("L", (size_px, size_px + round(below.height * size_px)), 255)
    sheet.paste(code, (0, 0))
    pen = ImageDraw.Draw(sheet)
    for line in below.lines:
        pen.text(
            (size_px / 2, size_px * (1 + line.baseline)),
            line.text,
            fill=line.grey,
            font=_face(line.font, max(1, round(line.size * size_px))),
            anchor="ms",
        )
    return png_bytes(sheet, dpi=dpi)


@lru_cache(maxsize=32)
def _face(name: str, size_px: int) -> ImageFont.FreeTypeFont:
    # The basic layout engine is always there; the other would change the bytes where its library is installed.
    return ImageFont.truetype(font_path(name), size_px, layout_engine=ImageFont.Layout.BASIC)
