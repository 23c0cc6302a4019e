"""Pictures that people hand in: bounded, opened, looked through for codes."""

from __future__ import annotations

import io
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from PIL import Image, ImageFilter, ImageOps, UnidentifiedImageError

from apps.qrcodes.proof.judging import Reading, read_codes

#: Bytes of a file; a phone's photograph has 3 to 8 million.
MOST_BYTES: Final = 15 * 1024 * 1024
#: Pixels of a photograph; the largest phone cameras have 50 million in their usual mode. JPEG is unpacked small at once.
MOST_PIXELS: Final = 60_000_000
#: Pixels of any other picture, which can only be unpacked whole: a small file may hold very many.
MOST_WHOLE_PIXELS: Final = 20_000_000
#: Pixels along an edge below which a JPEG is not made smaller.
_JPEG_PX: Final = 3_000
#: Pages of a PDF that are looked at.
MOST_PAGES: Final = 50
#: Seconds for drawing a PDF's pages.
_PATIENCE: Final = 60
#: Pixels along the longer edge of a PDF's page, however large its paper is.
PDF_PX: Final = 3_000
#: Photographs are looked through at these widths too: a sharp one hides a code from the decoder now and then.
_SMALLER: Final = (1_600, 800)
#: A small or blurred picture without any code is enlarged this much, to at most so many pixels wide, and sharpened.
_LARGER: Final = 3
_LARGEST: Final = 4_800
_FORMATS: Final = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
_HEIC: Final = (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftyphevc", b"ftypavif")


class PhotoRefused(ValueError):
    """A file that cannot be looked at. ``key``: too_many_bytes, empty, heic, svg, pdf_unsupported, pdf_broken, too_many_pages, animated,
    too_many_pixels, broken, not_an_image."""

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__(key)


def open_photo(data: bytes) -> Image.Image:
    """An upright greyscale picture of an uploaded file. Raises PhotoRefused."""
    if not data:
        raise PhotoRefused("empty")
    if len(data) > MOST_BYTES:
        raise PhotoRefused("too_many_bytes")
    if data[4:12] in _HEIC:
        raise PhotoRefused("heic")
    head = data[:512].lstrip().lower()
    if head.startswith((b"<svg", b"<?xml", b"<!doctype svg")):
        raise PhotoRefused("svg")
    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            _require_modest(image)
            return ImageOps.exif_transpose(_grey(image))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PhotoRefused("too_many_pixels") from error
    except UnidentifiedImageError as error:
        raise PhotoRefused("not_an_image") from error
    except (OSError, SyntaxError, ValueError, EOFError, MemoryError) as error:
        if isinstance(error, PhotoRefused):
            raise
        # Pillow raises whatever its readers stumble over.
        raise PhotoRefused("broken") from error


def _require_modest(image: Image.Image) -> None:
    """Raise PhotoRefused for what must not be unpacked. Only the file's head has been read so far."""
    # Many phones put a second, small picture behind the first: such a JPEG is an MPO, and does not move.
    is_photo = image.format in {"JPEG", "MPO"}
    if image.width * image.height > (MOST_PIXELS if is_photo else MOST_WHOLE_PIXELS):
        raise PhotoRefused("too_many_pixels")
    if not is_photo and getattr(image, "is_animated", False):
        raise PhotoRefused("animated")


def _grey(image: Image.Image) -> Image.Image:
    """The picture in greys, with what tells which way up it is. What is transparent is paper."""
    told = image.getexif()
    if image.format in {"JPEG", "MPO"}:
        image.draft("L", (_JPEG_PX, _JPEG_PX))
    if image.mode in {"LA", "PA"} or "transparency" in image.info:
        image = image.convert("RGBA")
    if image.mode.startswith("I") or image.mode == "F":
        # Sixteen bits would be cut off at white rather than scaled.
        image = image.point(lambda value: value * (1 / 257))
    grey = image.convert("L")
    if image.mode == "RGBA":
        paper = Image.new("L", grey.size, 255)
        grey = Image.composite(grey, paper, image.getchannel("A"))
    # The turn stands in the file's head, which a converted picture may have lost.
    grey.info["exif"] = told.tobytes()
    return grey


def codes_in(image: Image.Image) -> list[Reading]:
    """Every different code in a picture, with corners in its own pixels.

    A large one is looked at in smaller copies too, so that one code found does not hide another; where nothing is found, in
    a larger and sharper one.
    """
    seen = {reading.text: reading for reading in read_codes(image)}
    for width in _SMALLER:
        if image.width > width:
            for reading in _at_width(image, width):
                seen.setdefault(reading.text, reading)
    if not seen:
        width = min(_LARGEST, image.width * _LARGER)
        if width > image.width:
            seen = {reading.text: reading for reading in _at_width(image, width)}
    return list(seen.values())


def _at_width(image: Image.Image, width: int) -> list[Reading]:
    height = max(1, round(image.height * width / image.width))
    scale = image.width / width
    if scale > 1:
        copy = image.resize((width, height), Image.Resampling.BOX)
    elif height > _LARGEST * 2:
        return []
    else:
        copy = image.resize((width, height), Image.Resampling.BICUBIC)
        copy = copy.filter(ImageFilter.UnsharpMask(8, 300, 0))
    return [reading.scaled(scale) for reading in read_codes(copy)]


def is_pdf(data: bytes) -> bool:
    """Whether a file says that it is a PDF."""
    return data[:1024].lstrip().startswith(b"%PDF-")


def pdf_pages(data: bytes) -> Iterator[Image.Image]:
    """The pages of a PDF, drawn by poppler's ``pdftoppm`` ``PDF_PX`` long. Raises PhotoRefused."""
    if len(data) > MOST_BYTES:
        raise PhotoRefused("too_many_bytes")
    tool = shutil.which("pdftoppm")
    if tool is None:
        raise PhotoRefused("pdf_unsupported")
    with tempfile.TemporaryDirectory(prefix="portal-pdf-") as folder:
        command = [
            tool, "-l", str(MOST_PAGES + 1), "-gray", "-scale-to", str(PDF_PX), "-", str(Path(folder) / "page"),
        ]  # fmt: skip
        try:
            subprocess.run(command, input=data, check=True, capture_output=True, timeout=_PATIENCE)
        except (subprocess.SubprocessError, OSError) as error:
            raise PhotoRefused("pdf_broken") from error
        pages = sorted(Path(folder).glob("page*"))
        if len(pages) > MOST_PAGES:
            raise PhotoRefused("too_many_pages")
        if not pages:
            raise PhotoRefused("pdf_broken")
        for page in pages:
            with Image.open(page) as image:
                yield image.convert("L")
