"""A code as PNG: for screens, chats and shop windows' own designs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from PIL import Image, ImageDraw, ImageFont

from apps.qrcodes.artwork.colours import rgb
from apps.qrcodes.artwork.design import SMALLEST_MODULE_MM, Design, DesignRefused, logo_box
from apps.qrcodes.artwork.fonts import font_path, require_printable
from apps.qrcodes.artwork.logos import on_ground
from apps.qrcodes.artwork.matrix import QUIET_ZONE, Level, Matrix, bitmap, modules, png_bytes
from apps.qrcodes.artwork.placard import Placard, caption
from apps.qrcodes.artwork.shapes import rounded_runs

#: What a picture for print may be: its width in mm, its pixels an inch.
PICTURE_MM: Final = range(15, 501)
PICTURE_DPI: Final = (150, 300, 600)
#: The most pixels that a picture is wide: half a metre at 254 dpi, or 211 mm at 600.
MAX_PICTURE_PX: Final = 5000
#: Edges of round modules are drawn this much finer and then made smaller, which smooths them.
_FINE = 8


def render_png(
    placard: Placard,
    *,
    size_px: int = 1024,
    captioned: bool = False,
    level: Level = "M",
    dpi: int = 300,
    design: Design | None = None,
) -> bytes:
    """The code with its quiet zone, ``size_px`` pixels wide; ``captioned`` adds the names below and so some height.

    ``dpi`` is what the file states: 1024 px at 300 dpi print 87 mm wide. A ``design`` brings its own level. Raises
    ValueError when ``size_px`` gives a module less than two pixels, DesignRefused (a logo too large for this link), with a
    caption also UnprintableText and TextTooLong.
    """
    look = design or Design(level=level)
    code = _code(modules(placard.link, look.level), look, size_px=size_px)
    if not captioned:
        return png_bytes(code, dpi=dpi)
    require_printable(*placard.texts)
    below = caption(placard)
    plain = code.mode == "1"
    size = (size_px, size_px + round(below.height * size_px))
    sheet = Image.new("L", size, 255) if plain else Image.new("RGB", size, (255, 255, 255))
    sheet.paste(code, (0, 0))
    pen = ImageDraw.Draw(sheet)
    for line in below.lines:
        pen.text(
            (size_px / 2, size_px * (1 + line.baseline)),
            line.text,
            fill=line.grey if plain else (line.grey,) * 3,
            font=_face(line.font, max(1, round(line.size * size_px))),
            anchor="ms",
        )
    return png_bytes(sheet, dpi=dpi)


@dataclass(frozen=True, slots=True)
class Picture:
    """What a picture for print comes to: ``size_px`` pixels wide, ``module_px`` to a module of ``module_mm``."""

    size_px: int
    module_px: int
    module_mm: float


def picture_facts(link: str, design: Design, *, width_mm: int, dpi: int) -> Picture:
    """The measures of a picture ``width_mm`` wide, quiet zone included.

    Raises DesignRefused: an unusual width or resolution, or modules under SMALLEST_MODULE_MM; its fact ``least_mm`` is the
    width that would do.
    """
    if width_mm not in PICTURE_MM or dpi not in PICTURE_DPI:
        raise DesignRefused("width_mm", "unusual_size")
    count = len(design.matrix(link)) + 2 * QUIET_ZONE
    size = round(width_mm / 25.4 * dpi)
    if size > MAX_PICTURE_PX:
        raise DesignRefused("width_mm", "too_many_pixels", most_mm=int(MAX_PICTURE_PX / dpi * 25.4))
    module_px = size // count
    module_mm = module_px / dpi * 25.4
    if module_px < 2 or module_mm < SMALLEST_MODULE_MM:
        # Modules are whole pixels, so the width that does is a whole number of them a module.
        needed = max(2, -(-SMALLEST_MODULE_MM * dpi // 25.4))
        least = int(-(-needed * count / dpi * 25.4 // 1)) + 1
        raise DesignRefused("width_mm", "too_narrow", least_mm=least)
    return Picture(size, module_px, module_mm)


def render_picture(
    placard: Placard, *, width_mm: int, dpi: int, design: Design, captioned: bool = False
) -> bytes:
    """The code as PNG that prints ``width_mm`` wide at ``dpi``, which its header states.

    Raises what ``picture_facts`` and ``render_png`` raise.
    """
    facts = picture_facts(placard.link, design, width_mm=width_mm, dpi=dpi)
    return render_png(placard, size_px=facts.size_px, dpi=dpi, design=design, captioned=captioned)


def _code(matrix: Matrix, design: Design, *, size_px: int) -> Image.Image:
    """A square of ``size_px``: one bit deep where nothing but black and white squares are asked for."""
    patch = design.patch(len(matrix))
    if design.is_plain and design.shape == "square":
        return bitmap(matrix, size_px=size_px, border=QUIET_ZONE)
    ink = _ink(matrix, design, size_px=size_px)
    sheet = Image.new("RGB", (size_px, size_px), rgb(design.background))
    sheet.paste(rgb(design.foreground), (0, 0, size_px, size_px), ink)
    if design.logo is not None:
        module = size_px // (len(matrix) + 2 * QUIET_ZONE)
        # The patch lies on whole modules, as the margin leaves them.
        start = (size_px - len(matrix) * module) // 2 + (len(matrix) - patch) // 2 * module
        edge = patch * module
        sheet.paste(rgb(design.background), (start, start, start + edge, start + edge))
        width, height = (max(1, round(part * module)) for part in logo_box(design.logo, patch))
        image = on_ground(design.logo, design.background)
        small = image.resize((width, height), Image.Resampling.LANCZOS)
        sheet.paste(small, (start + (edge - width) // 2, start + (edge - height) // 2))
    return sheet


def _ink(matrix: Matrix, design: Design, *, size_px: int) -> Image.Image:
    """How much of each pixel is covered by modules, 0 to 255."""
    if design.shape == "square":
        plain = bitmap(matrix, size_px=size_px, border=QUIET_ZONE)
        return plain.convert("L").point(lambda value: 255 - value)
    module = size_px // (len(matrix) + 2 * QUIET_ZONE)
    if module < 2:
        raise ValueError(f"{size_px} px are too few for this code")
    sheet = Image.new("L", (size_px, size_px), 0)
    offset = (size_px - len(matrix) * module) // 2
    for x, y, length, *corners in rounded_runs(matrix):
        top_left, top_right, bottom_right, bottom_left = corners
        left, top = offset + x * module, offset + y * module
        right = left + (length - 1) * module
        if length == 1:
            sheet.paste(_tile(module, top_left, top_right, bottom_right, bottom_left), (left, top))
            continue
        sheet.paste(255, (left + module, top, right, top + module))
        sheet.paste(_tile(module, top_left, False, False, bottom_left), (left, top))
        sheet.paste(_tile(module, False, top_right, bottom_right, False), (right, top))
    return sheet


@lru_cache(maxsize=256)
def _tile(
    module: int, top_left: bool, top_right: bool, bottom_right: bool, bottom_left: bool
) -> Image.Image:
    """One module with these corners round."""
    edge, half = module * _FINE, module * _FINE // 2
    tile = Image.new("L", (edge, edge), 255)
    disc = Image.new("L", (edge, edge), 0)
    ImageDraw.Draw(disc).ellipse((0, 0, edge - 1, edge - 1), fill=255)
    for is_round, x, y in (
        (top_left, 0, 0),
        (top_right, half, 0),
        (bottom_right, half, half),
        (bottom_left, 0, half),
    ):
        if is_round:
            tile.paste(disc.crop((x, y, x + half, y + half)), (x, y))
    return tile.resize((module, module), Image.Resampling.BOX)


@lru_cache(maxsize=32)
def _face(name: str, size_px: int) -> ImageFont.FreeTypeFont:
    # The basic layout engine is always there; the other would change the bytes where its library is installed.
    return ImageFont.truetype(font_path(name), size_px, layout_engine=ImageFont.Layout.BASIC)
