"""What becomes of a printed code before a phone sees it: dirt and scratches, a slanted view, poor light, a poor camera.

Everything follows from the picture, a ``Harm`` and its seed: the same three give the same pixels. Lengths are modules of the
code, so one harm means the same for a sticker and for a poster.
"""

from __future__ import annotations

import io
import math
import random
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from apps.qrcodes.artwork.coverage import block_order, blocks, codeword_map, version_of
from apps.qrcodes.artwork.design import Design
from apps.qrcodes.artwork.images import render_png
from apps.qrcodes.artwork.matrix import QUIET_ZONE, Level, Matrix
from apps.qrcodes.artwork.placard import Placard

#: Pixels to a module in the picture that is harmed: enough that a photograph of 6 is never an enlargement.
_FINE: Final = 8
#: A smear of this width at half its height has a standard deviation of 1.
_HALF_WIDTH: Final = 2.3548
#: How far the eye stands from a tilted code, in widths of the code. Near, so that the slant shows.
_DISTANCE: Final = 4.0
#: Standard deviation of one random byte.
_BYTE_DEVIATION: Final = 73.9


@dataclass(frozen=True, slots=True, kw_only=True)
class Harm:
    """What happens to one code. The defaults harm nothing.

    ``px`` pixels the camera has for one module; ``blur`` how far a point is smeared, in modules across (at half its height);
    ``rotation`` in degrees; ``tilt`` degrees between the line of sight and the upright, about an axis in direction ``axis``;
    ``contrast`` 1 full to 0 none; ``gamma`` above 1 darker; ``shade`` how much darker one edge is than the other, 0 to 1;
    ``glare`` width of a bright spot as a part of the code's, 0 for none; ``noise`` standard deviation in 1/255; ``jpeg`` quality, 0 for
    none; ``wear`` what part of the correction that the code has left is used up by scratches and blots (in the worst block;
    finder patterns stay free); ``cover`` what part of the code's area a corner of dark tape covers.
    """

    px: float = 6.0
    blur: float = 0.0
    rotation: float = 0.0
    tilt: float = 0.0
    axis: float = 0.0
    contrast: float = 1.0
    gamma: float = 1.0
    shade: float = 0.0
    glare: float = 0.0
    noise: float = 0.0
    jpeg: int = 0
    wear: float = 0.0
    cover: float = 0.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Subject:
    """A code to be harmed: an upright greyscale picture with its quiet zone, and what it is known to hold.

    ``size`` counts modules along an edge without the quiet zone of ``quiet`` modules; ``patch`` those along the edge of a logo.
    """

    image: Image.Image = field(repr=False, compare=False)
    content: str
    size: int
    level: Level
    quiet: int = QUIET_ZONE
    patch: int = 0

    @property
    def module_px(self) -> float:
        """Pixels to a module."""
        return self.image.width / (self.size + 2 * self.quiet)


def subject_of(design: Design, link: str) -> Subject:
    """The bare code of ``link`` in ``design``. Raises DesignRefused, InvalidContent."""
    matrix = design.matrix(link)
    edge = (len(matrix) + 2 * QUIET_ZONE) * _FINE
    data = render_png(Placard(link=link, shop_name=""), size_px=edge, design=design)
    with Image.open(io.BytesIO(data)) as image:
        grey = image.convert("L")
    return Subject(grey, link, len(matrix), design.level, patch=design.patch(len(matrix)))


def harmed(subject: Subject, harm: Harm) -> Image.Image:
    """The greyscale photograph of the code after ``harm``."""
    rng = random.Random(harm.seed)  # noqa: S311  # the same seed must give the same pixels
    image = subject.image
    if harm.wear or harm.cover:
        image = _worn(subject, harm, rng)
    # The camera's own pixels smear as well; without that, thin lines would fall between them.
    pixel = subject.module_px / harm.px
    smear = math.hypot(harm.blur * subject.module_px, 0.6 * pixel if pixel > 1 else 0)
    if smear > 0.3:
        image = image.filter(ImageFilter.GaussianBlur(smear / _HALF_WIDTH))
    image = _seen(image, subject, harm)
    image = _lit(image, harm, rng)
    if harm.jpeg:
        out = io.BytesIO()
        image.save(out, "JPEG", quality=harm.jpeg)
        with Image.open(out) as saved:
            image = saved.convert("L")
    return image


# ---------------------------------------------------------------- dirt


@dataclass(frozen=True, slots=True)
class _Mark:
    """A scratch or a blot: a thick line, in modules from the code's top left corner; a blot's ends are the same point."""

    x1: float
    y1: float
    x2: float
    y2: float
    width: float
    dark: bool


def matrix_of(subject: Subject) -> Matrix:
    """The modules as the picture shows them in their middles."""
    image, module = subject.image, subject.module_px
    low, high = image.getextrema()
    middle = (int(low) + int(high)) / 2  # type: ignore[arg-type]  # one band: two numbers
    rows = []
    for y in range(subject.size):
        line = []
        for x in range(subject.size):
            place = (
                int((x + subject.quiet + 0.5) * module),
                int((y + subject.quiet + 0.5) * module),
            )
            line.append(float(image.getpixel(place)) < middle)  # type: ignore[arg-type]  # one band
        rows.append(tuple(line))
    return tuple(rows)


def _hit(mark: _Mark, size: int) -> list[tuple[int, int]]:
    """Modules whose middle the mark covers, or nearly."""
    reach = mark.width / 2 + 0.25
    left = max(0, int(min(mark.x1, mark.x2) - reach))
    right = min(size - 1, int(max(mark.x1, mark.x2) + reach))
    top = max(0, int(min(mark.y1, mark.y2) - reach))
    bottom = min(size - 1, int(max(mark.y1, mark.y2) + reach))
    dx, dy = mark.x2 - mark.x1, mark.y2 - mark.y1
    length = dx * dx + dy * dy
    found = []
    for y in range(top, bottom + 1):
        for x in range(left, right + 1):
            px, py = x + 0.5 - mark.x1, y + 0.5 - mark.y1
            along = 0.0 if length == 0 else min(1.0, max(0.0, (px * dx + py * dy) / length))
            if (px - along * dx) ** 2 + (py - along * dy) ** 2 <= reach * reach:
                found.append((x, y))
    return found


def _finder(x: int, y: int, size: int) -> bool:
    return (x < 8 and (y < 8 or y >= size - 8)) or (x >= size - 8 and y < 8)


def _proposed(rng: random.Random, size: int) -> _Mark:
    x, y = rng.uniform(0, size), rng.uniform(0, size)
    if rng.random() < 0.5:
        return _Mark(x, y, x, y, rng.uniform(0.9, 3.2), rng.random() < 0.5)
    angle, length = rng.uniform(0, math.pi), rng.uniform(2, size / 2)
    end = (x + math.cos(angle) * length, y + math.sin(angle) * length)
    return _Mark(x, y, *end, rng.uniform(0.15, 0.6), dark=rng.random() < 0.25)


def marks_of(subject: Subject, *, wear: float, rng: random.Random) -> list[_Mark]:
    """Marks until ``wear`` of what each block can still repair is used up in one of them, and in none more than that."""
    size, level = subject.size, subject.level
    version = version_of(size)
    places, order = codeword_map(version), block_order(version, level)
    matrix = matrix_of(subject)
    start = (size - subject.patch) // 2
    logo = range(start, start + subject.patch)
    wrong = {places[x, y] for x in logo for y in logo if (x, y) in places}
    counts = [0] * len(blocks(version, level))
    for codeword in wrong:
        if codeword < len(order):
            counts[order[codeword]] += 1
    limits = [
        count + int(wear * max(0, block.repairs - count))
        for count, block in zip(counts, blocks(version, level), strict=True)
    ]
    spent = counts.copy()
    marks: list[_Mark] = []
    for _ in range(60 * size):
        if any(
            now >= limit > before for now, limit, before in zip(spent, limits, counts, strict=True)
        ):
            break
        mark = _proposed(rng, size)
        hit = _hit(mark, size)
        if any(_finder(x, y, size) for x, y in hit):
            continue
        fresh = {places[at] for at in hit if at in places and matrix[at[1]][at[0]] != mark.dark}
        fresh -= wrong
        trial = spent.copy()
        for codeword in fresh:
            if codeword < len(order):
                trial[order[codeword]] += 1
        if fresh and all(now <= limit for now, limit in zip(trial, limits, strict=True)):
            marks.append(mark)
            wrong |= fresh
            spent = trial
    return marks


def _worn(subject: Subject, harm: Harm, rng: random.Random) -> Image.Image:
    image = subject.image.copy()
    pen = ImageDraw.Draw(image)
    low, high = (int(value) for value in image.getextrema())  # type: ignore[arg-type]  # one band
    module, offset = subject.module_px, subject.quiet
    for mark in marks_of(subject, wear=harm.wear, rng=rng) if harm.wear else ():
        ink = low if mark.dark else high
        x1, y1, x2, y2 = (
            (value + offset) * module for value in (mark.x1, mark.y1, mark.x2, mark.y2)
        )
        radius = mark.width * module / 2
        if (x1, y1) != (x2, y2):
            pen.line((x1, y1, x2, y2), fill=ink, width=max(1, round(mark.width * module)))
        else:
            pen.ellipse((x1 - radius, y1 - radius, x1 + radius, y1 + radius), fill=ink)
    if harm.cover:
        # The corner without a finder pattern: what covers one of those hides the code from every reader.
        edge = math.sqrt(harm.cover) * subject.size * module
        end = (subject.size + offset) * module
        pen.rectangle((end - edge, end - edge, end, end), fill=low + (high - low) // 4)
    return image


# ---------------------------------------------------------------- the view


def _seen(image: Image.Image, subject: Subject, harm: Harm) -> Image.Image:
    """Turned, tilted and at the camera's size, on a wall that is a little darker than the paper."""
    count = subject.size + 2 * subject.quiet
    turn, tilt, axis = (math.radians(value) for value in (harm.rotation, harm.tilt, harm.axis))
    if not turn and not tilt:
        edge = max(8, round(count * harm.px))
        plain = image.resize((edge, edge), Image.Resampling.BICUBIC)
        return _on_wall(plain, image, pad=round(2 * harm.px))
    forward = _projection(turn, tilt, axis)
    # Corners in widths of the code, the middle at 0.
    corners = [_project(forward, x, y) for x in (-0.5, 0.5) for y in (-0.5, 0.5)]
    width = count * harm.px
    pad = 2 * harm.px
    left, top = min(x for x, _ in corners), min(y for _, y in corners)
    across = max(x for x, _ in corners) - left
    down = max(y for _, y in corners) - top
    size = (max(8, round(across * width + 2 * pad)), max(8, round(down * width + 2 * pad)))
    # From a pixel of the photograph back to a pixel of the code's picture.
    to_plane: Grid = [
        [1 / width, 0, left - pad / width],
        [0, 1 / width, top - pad / width],
        [0, 0, 1],
    ]
    to_pixels: Grid = [
        [image.width, 0, image.width / 2],
        [0, image.height, image.height / 2],
        [0, 0, 1],
    ]
    back = _times(to_pixels, _times(_inverse(forward), to_plane))
    scale = back[2][2]
    data = [value / scale for row in back for value in row][:8]
    return image.transform(
        size,
        Image.Transform.PERSPECTIVE,
        data,
        resample=Image.Resampling.BICUBIC,
        fillcolor=_wall_grey(image),
    )


def _wall_grey(image: Image.Image) -> int:
    low, high = (int(value) for value in image.getextrema())  # type: ignore[arg-type]  # one band
    return high - (high - low) // 8


def _on_wall(code: Image.Image, source: Image.Image, *, pad: int) -> Image.Image:
    sheet = Image.new("L", (code.width + 2 * pad, code.height + 2 * pad), _wall_grey(source))
    sheet.paste(code, (pad, pad))
    return sheet


Grid = list[list[float]]


def _times(one: Grid, other: Grid) -> Grid:
    return [
        [sum(one[row][k] * other[k][column] for k in range(3)) for column in range(3)]
        for row in range(3)
    ]


def _inverse(m: Grid) -> Grid:
    """Of a 3 × 3 matrix, but for a factor, which a projection does not see."""
    (a, b, c), (d, e, f), (g, h, i) = m
    return [
        [e * i - f * h, c * h - b * i, b * f - c * e],
        [f * g - d * i, a * i - c * g, c * d - a * f],
        [d * h - e * g, b * g - a * h, a * e - b * d],
    ]


def _projection(turn: float, tilt: float, axis: float) -> Grid:
    """From the code's plane to the eye's, both in widths of the code: turned, then tilted about an axis in the plane."""
    cos, sin = math.cos(turn), math.sin(turn)
    ux, uy = math.cos(axis), math.sin(axis)
    c, s = math.cos(tilt), math.sin(tilt)
    # The first two columns of the rotation about (ux, uy, 0) suffice: the code is flat.
    about: Grid = [
        [c + ux * ux * (1 - c), ux * uy * (1 - c), 0],
        [ux * uy * (1 - c), c + uy * uy * (1 - c), 0],
        [-uy * s / _DISTANCE, ux * s / _DISTANCE, 1],
    ]
    return _times(about, [[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])


def _project(forward: Grid, x: float, y: float) -> tuple[float, float]:
    u, v, w = (row[0] * x + row[1] * y + row[2] for row in forward)
    return u / w, v / w


# ---------------------------------------------------------------- light and camera


@lru_cache(maxsize=64)
def _curve(contrast: float, gamma: float) -> list[int]:
    """What a grey becomes: pulled towards a dim middle, then darkened or lightened."""
    return [
        max(0, min(255, round(255 * ((110 + (value - 110) * contrast) / 255) ** gamma)))
        if 110 + (value - 110) * contrast > 0
        else 0
        for value in range(256)
    ]


def _lit(image: Image.Image, harm: Harm, rng: random.Random) -> Image.Image:
    if harm.shade:
        ramp = Image.linear_gradient("L").rotate(90 * rng.randrange(4)).resize(image.size)
        dark = round(255 * (1 - harm.shade))
        ramp = ramp.point([dark + (255 - dark) * value // 255 for value in range(256)])
        image = ImageChops.multiply(image, ramp)
    if harm.glare:
        edge = max(4, round(min(image.size) * harm.glare))
        spot = Image.radial_gradient("L").resize((edge, edge))
        spot = spot.point([max(0, 230 - value * 2) for value in range(256)])
        layer = Image.new("L", image.size)
        # Anywhere on the code, but not on all of it.
        x = rng.randrange(max(1, image.width - edge))
        y = rng.randrange(max(1, image.height - edge))
        layer.paste(spot, (x, y))
        image = ImageChops.screen(image, layer)
    if harm.contrast != 1 or harm.gamma != 1:
        image = image.point(_curve(harm.contrast, harm.gamma))
    if harm.noise:
        grain = Image.frombytes("L", image.size, rng.randbytes(image.width * image.height))
        part = harm.noise / _BYTE_DEVIATION
        grain = grain.point([round(128 + (value - 127.5) * part) for value in range(256)])
        image = ImageChops.add(image, grain, 1, -128)
    return image
