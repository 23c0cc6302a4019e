"""A shop's logo for the middle of its codes: taken in from anything that people upload, kept small and plain.

What a file claims is looked at before a single pixel is decoded: its bytes, its format, its width and height, its frames. What
is kept is a fresh PNG without metadata, so nothing that came along in the file travels on.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from PIL import Image, ImageChops, ImageMath, ImageOps, UnidentifiedImageError

from apps.qrcodes.artwork.colours import rgb

#: As uploaded.
MAX_LOGO_BYTES: Final = 4 * 1024 * 1024
#: Width × height as the file states it: what a phone's camera makes, and no more.
MAX_LOGO_PIXELS: Final = 25_000_000
#: The shorter side as uploaded: less is a blur on paper.
MIN_LOGO_EDGE: Final = 32
#: The longer side as kept: 35 mm at 280 dpi, the most that a placard shows.
KEPT_EDGE: Final = 384
#: The most that is kept.
MAX_KEPT_BYTES: Final = 262_144

_FORMATS: Final = ("PNG", "JPEG", "WEBP")


class LogoRefused(ValueError):
    """A file cannot be a logo; ``key`` says why: empty, too_many_bytes, drawing, not_an_image, too_many_pixels,
    too_small, animated, damaged, blank."""

    def __init__(self, key: str) -> None:
        self.key = key
        super().__init__(f"not a usable logo: {key}")


@dataclass(frozen=True, slots=True)
class Logo:
    """A PNG as ``read_logo`` made it: RGBA or RGB, at most KEPT_EDGE pixels wide and high."""

    data: bytes = field(repr=False)
    width: int
    height: int


def _looks_like_svg(data: bytes) -> bool:
    head = data[:2048].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return head.startswith((b"<svg", b"<?xml", b"<!doctype svg", b"<!--")) or b"<svg" in head


def read_logo(data: bytes) -> Logo:
    """The logo in an uploaded PNG, JPEG or WebP, upright, cropped to its ink, without metadata. Raises LogoRefused."""
    if not data:
        raise LogoRefused("empty")
    if len(data) > MAX_LOGO_BYTES:
        raise LogoRefused("too_many_bytes")
    if _looks_like_svg(data):
        raise LogoRefused("drawing")
    with warnings.catch_warnings():
        # Pillow warns of what may be a bomb; our own bound is far below, and asked before anything is decoded.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                _require_modest(image)
                plain = _decoded(image)
        except LogoRefused:
            raise
        except UnidentifiedImageError as error:
            raise LogoRefused("not_an_image") from error
        except Image.DecompressionBombError as error:
            raise LogoRefused("too_many_pixels") from error
        # Decoders of damaged files raise whatever their formats know: all of them mean the same to a member.
        except (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError) as error:
            raise LogoRefused("damaged") from error
    return _kept(plain)


def _require_modest(image: Image.Image) -> None:
    """Raise LogoRefused for what must not be decoded. Only the file's head has been read so far."""
    if image.width * image.height > MAX_LOGO_PIXELS:
        raise LogoRefused("too_many_pixels")
    if min(image.width, image.height) < MIN_LOGO_EDGE:
        raise LogoRefused("too_small")
    # Phones put a second, small picture behind a photograph: such a JPEG is an MPO, and does not move.
    if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:
        raise LogoRefused("animated")


def _decoded(image: Image.Image) -> Image.Image:
    """All pixels, as RGBA, at most twice the kept size, turned as the camera held it."""
    if image.format in {"JPEG", "MPO"}:
        # A large photograph is decoded small at once.
        image.draft("RGB", (KEPT_EDGE * 2, KEPT_EDGE * 2))
    image.load()
    turned = ImageOps.exif_transpose(image)
    # 16-bit greys would be cut off at white rather than scaled.
    if turned.mode.startswith("I") or turned.mode == "F":
        turned = turned.point(lambda value: value * (1 / 257)).convert("L")
    # A colour profile is dropped, not applied: the difference is small, and no profile library is needed.
    small = turned.convert("RGBA")
    small.thumbnail((KEPT_EDGE * 2, KEPT_EDGE * 2), Image.Resampling.LANCZOS)
    return small


def _kept(image: Image.Image) -> Logo:
    box = image.getchannel("A").point(lambda value: 255 if value > 8 else 0).getbbox()
    if box is None:
        raise LogoRefused("blank")
    image = image.crop(box)
    image.thumbnail((KEPT_EDGE, KEPT_EDGE), Image.Resampling.LANCZOS)
    if image.getchannel("A").getextrema()[0] == 255:
        image = image.convert("RGB")
    data = _png(image)
    if len(data) > MAX_KEPT_BYTES:
        # A photograph: 256 colours do for something as small as a coin.
        method = Image.Quantize.FASTOCTREE
        data = _png(image.quantize(256, method=method, dither=Image.Dither.FLOYDSTEINBERG))
    if len(data) > MAX_KEPT_BYTES:
        raise LogoRefused("too_many_bytes")
    return Logo(data, image.width, image.height)


def _png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    # A new image of the same pixels: nothing of the old one's metadata is written.
    bare = Image.frombytes(image.mode, image.size, image.tobytes())
    if image.mode == "P":
        palette = image.getpalette(image.palette.mode) if image.palette else None
        if palette:
            bare.putpalette(palette, image.palette.mode if image.palette else "RGB")
    bare.save(out, "PNG", optimize=True)
    return out.getvalue()


@lru_cache(maxsize=32)
def on_ground(logo: Logo, ground: str) -> Image.Image:
    """The logo as RGB on the colour of its patch. Not to be changed by whoever gets it."""
    with Image.open(io.BytesIO(logo.data), formats=("PNG",)) as image:
        layer = image.convert("RGBA")
    sheet = Image.new("RGBA", layer.size, (*rgb(ground), 255))
    sheet.alpha_composite(layer)
    return sheet.convert("RGB")


def in_inks(image: Image.Image) -> Image.Image:
    """An RGB image in process colours, mixed as ``colours.cmyk`` mixes them: greys are black ink only."""
    red, green, blue = image.split()
    lightest = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    inks = [
        ImageMath.lambda_eval(
            lambda given: given["convert"](
                (given["top"] - given["part"]) * 255 / given["max"](given["top"], 1), "L"
            ),
            top=lightest,
            part=part,
        )
        for part in (red, green, blue)
    ]
    return Image.merge("CMYK", (*inks, ImageChops.invert(lightest)))
