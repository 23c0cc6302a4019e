"""The independent judge: what zxing-cpp reads in a picture. It had no part in making our codes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Final, cast

import zxingcpp
from PIL import Image, ImageFilter

from apps.qrcodes.artwork.matrix import Level

_QR: Final = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode)

Point = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Reading:
    """One code as it was read: its text, its corners from the top left clockwise in pixels, its version and level.

    ``version`` is 0 where the decoder did not say.
    """

    text: str
    corners: tuple[Point, Point, Point, Point]
    version: int
    level: Level

    @property
    def edge_px(self) -> float:
        """The longest edge in pixels."""
        points = (*self.corners, self.corners[0])
        edges: list[float] = [
            math.hypot(x2 - x1, y2 - y1) for (x1, y1), (x2, y2) in pairwise(points)
        ]
        return max(edges)

    def scaled(self, factor: float) -> Reading:
        """The same code in a picture ``factor`` times as large."""
        corners = tuple((round(x * factor), round(y * factor)) for x, y in self.corners)
        return replace(self, corners=cast("tuple[Point, Point, Point, Point]", corners))


def read_codes(image: Image.Image) -> list[Reading]:
    """Every QR code in a picture."""
    grey = image if image.mode == "L" else image.convert("L")
    return [_reading(found) for found in zxingcpp.read_barcodes(grey, formats=_QR)]


def _reading(found: zxingcpp.Barcode) -> Reading:
    place = found.position
    corners = tuple(
        (point.x, point.y)
        for point in (place.top_left, place.top_right, place.bottom_right, place.bottom_left)
    )
    facts = cast("Mapping[str, Any]", found.extra)
    version = str(facts.get("Version", ""))
    level = facts.get("ECLevel", "")
    return Reading(
        found.text,
        cast("tuple[Point, Point, Point, Point]", corners),
        int(version) if version.isdecimal() else 0,
        level if level in ("L", "M", "Q", "H") else "M",
    )


def reads_as(image: Image.Image, content: str) -> bool:
    """Whether a greyscale photograph of one code is read as exactly ``content``.

    A scanner looks at frame after frame until one is read, and enlarges and sharpens; so three looks are taken at the one frame
    that there is. A look that reads anything else decides against the code.
    """
    for look in _looks(image):
        found = [one.text for one in zxingcpp.read_barcodes(look, formats=_QR)]
        if found:
            return found == [content]
    return False


def _looks(image: Image.Image) -> Iterator[Image.Image]:
    """The picture as it is, enlarged, and enlarged and sharpened."""
    yield image
    large = image.resize((image.width * 3, image.height * 3), Image.Resampling.BICUBIC)
    yield large
    yield large.filter(ImageFilter.UnsharpMask(8, 300, 0))
