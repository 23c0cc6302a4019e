"""What a picture of a code measures: its modules, its quiet zone, its contrast. Any code, whoever made it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from PIL import Image

from apps.qrcodes.artwork.design import LEAST_CONTRAST
from apps.qrcodes.artwork.matrix import QUIET_ZONE
from apps.qrcodes.proof.damage import Subject
from apps.qrcodes.proof.judging import Reading
from apps.qrcodes.proof.proving import Proof, prove

#: Modules around the code that are looked at, and pixels to a module of the straightened picture.
_AROUND: Final = 6
_FINE: Final = 8


@dataclass(frozen=True, slots=True)
class Measured:
    """One code of a picture. ``quiet`` counts light modules around it, up to six; ``module_px`` is that of the picture."""

    reading: Reading
    size: int
    module_px: float
    quiet: int
    contrast: float
    proof: Proof

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong with it: ``quiet``, ``contrast``, or a kind of harm it was not read after."""
        found = [] if self.quiet >= QUIET_ZONE else ["quiet"]
        if self.contrast < LEAST_CONTRAST:
            found.append("contrast")
        return (*found, *self.proof.failed)


def measure(image: Image.Image, reading: Reading) -> Measured:
    """Measure one code of a greyscale picture, and harm it in every way."""
    size = 17 + 4 * max(1, reading.version)
    straight = _straightened(image, reading, size)
    cells = straight.resize((size + 2 * _AROUND,) * 2, Image.Resampling.BOX)
    values = sorted(
        float(cells.getpixel((x, y)))  # type: ignore[arg-type]  # one band: one number
        for x in range(_AROUND, _AROUND + size)
        for y in range(_AROUND, _AROUND + size)
    )
    dark, light = values[len(values) // 10], values[-len(values) // 10]
    middle = (dark + light) / 2
    contrast = (light / 255) ** 2.2 - (dark / 255) ** 2.2
    subject = Subject(straight, reading.text, size, reading.level, quiet=_AROUND)
    return Measured(
        reading=reading,
        size=size,
        module_px=reading.edge_px / size,
        quiet=_quiet(cells, size, middle),
        contrast=round(contrast, 3),
        proof=prove(subject, contrast=contrast),
    )


def _straightened(image: Image.Image, reading: Reading, size: int) -> Image.Image:
    """The code upright, with what is around it; past the picture's edge there is no paper, so no quiet zone."""
    top_left, top_right, bottom_right, bottom_left = reading.corners

    def out(corner: tuple[int, int], *others: tuple[int, int]) -> tuple[float, float]:
        x = sum(corner[0] - other[0] for other in others) * _AROUND / size
        y = sum(corner[1] - other[1] for other in others) * _AROUND / size
        return corner[0] + x, corner[1] + y

    corners = (
        *out(top_left, top_right, bottom_left),
        *out(bottom_left, bottom_right, top_left),
        *out(bottom_right, bottom_left, top_right),
        *out(top_right, top_left, bottom_right),
    )
    edge = (size + 2 * _AROUND) * _FINE
    return image.transform(
        (edge, edge),
        Image.Transform.QUAD,
        corners,
        resample=Image.Resampling.BICUBIC,
        fillcolor=0,
    )


def _quiet(cells: Image.Image, size: int, middle: float) -> int:
    """How many rings of modules around the code are light, from the inside."""
    for ring in range(1, _AROUND + 1):
        first, last = _AROUND - ring, _AROUND + size + ring - 1
        places = [
            (x, y)
            for x in range(first, last + 1)
            for y in range(first, last + 1)
            if x in (first, last) or y in (first, last)
        ]
        if any(float(cells.getpixel(place)) < middle for place in places):  # type: ignore[arg-type]  # one band
            return ring - 1
    return _AROUND
