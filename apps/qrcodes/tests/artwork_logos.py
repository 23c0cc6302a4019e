"""Logos that people upload, good and bad, made on the spot."""

from __future__ import annotations

import io
import struct
import zlib
from functools import cache

from PIL import Image, ImageDraw

from apps.qrcodes.artwork import Logo, read_logo


def picture(
    kind: str = "PNG", *, size: tuple[int, int] = (300, 200), mode: str = "RGB", **options: object
) -> bytes:
    """A red disc on white, or on nothing where ``mode`` has a transparent part."""
    ground = (255, 255, 255, 0) if mode == "RGBA" else "white"
    image = Image.new("RGBA" if mode == "RGBA" else "RGB", size, ground)
    ImageDraw.Draw(image).ellipse((4, 4, size[0] - 5, size[1] - 5), fill="#C4151B")
    out = io.BytesIO()
    (image if image.mode == mode else image.convert(mode)).save(out, kind, **options)
    return out.getvalue()


@cache
def red_logo() -> Logo:
    """The disc, as it is kept."""
    return read_logo(picture(mode="RGBA"))


def png_of(width: int, height: int) -> bytes:
    """A valid head of a PNG that claims these measures, and hardly any data: a bomb where they are large."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(b"\0" * 10_000))
        + chunk(b"IEND", b"")
    )


def animated(kind: str) -> bytes:
    """Two frames."""
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
    out = io.BytesIO()
    frames[0].save(out, kind, save_all=True, append_images=frames[1:], duration=100)
    return out.getvalue()


def _blank() -> bytes:
    out = io.BytesIO()
    Image.new("RGBA", (64, 64)).save(out, "PNG")
    return out.getvalue()


#: Why each is refused.
BAD_LOGOS: dict[str, tuple[str, bytes]] = {
    "empty": ("empty", b""),
    "svg": ("drawing", b'<svg xmlns="http://www.w3.org/2000/svg"><path d="M0 0h9v9z"/></svg>'),
    "svg with a script": (
        "drawing",
        b'\xef\xbb\xbf<?xml version="1.0"?><!-- x --><svg onload="alert(1)"><script>alert(1)</script></svg>',
    ),
    "svg with a doctype": ("drawing", b'<!DOCTYPE svg [<!ENTITY a "&a;">]><svg/>'),
    "gif": ("not_an_image", picture("GIF")),
    "bmp": ("not_an_image", picture("BMP")),
    "pdf": ("not_an_image", b"%PDF-1.7\n1 0 obj"),
    "text": ("not_an_image", "老王面馆".encode()),
    "half a name of a format": ("not_an_image", b"\x89PNG\r"),
    "a hundred megapixels": ("too_many_pixels", png_of(10_000, 10_000)),
    "a bomb": ("too_many_pixels", png_of(2_000_000, 2_000_000)),
    "wide as a wall": ("too_many_pixels", png_of(1_000_000, 33)),
    "animated png": ("animated", animated("PNG")),
    "animated webp": ("animated", animated("WEBP")),
    "tiny": ("too_small", picture(size=(31, 400))),
    "transparent": ("blank", _blank()),
    "truncated png": ("damaged", picture()[:-300]),
    "truncated jpeg": ("damaged", picture("JPEG")[:700]),
    "truncated webp": ("damaged", picture("WEBP")[:-200]),
    "less data than it says": ("damaged", png_of(2000, 2000)),
    "too many bytes": ("too_many_bytes", picture() + b"\0" * (4 * 1024 * 1024)),
}
