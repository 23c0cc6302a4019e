"""The outline of a code's modules: plain squares, or rounded where they have no neighbour.

Rounding keeps every module's middle, where readers look, and the 1:1:3:1:1 proportion of the finder patterns on each line
through them; neighbours stay joined, so no hairline runs through a code.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Literal

from apps.qrcodes.artwork.matrix import Matrix, runs

Shape = Literal["square", "rounded"]

#: Half a module: a lonely one is a disc.
_RADIUS = 0.5
#: How far the handles of a Bézier curve reach for a quarter of a circle, as a part of its radius.
_HANDLE = 0.5523 * _RADIUS

Run = tuple[int, int, int, bool, bool, bool, bool]


def rounded_runs(matrix: Matrix) -> Iterator[Run]:
    """``(column, row, length, top left, top right, bottom right, bottom left)``: True where that corner is round."""
    size = len(matrix)
    light = (False,) * size
    for x, y, length in runs(matrix):
        above = matrix[y - 1] if y else light
        below = matrix[y + 1] if y + 1 < size else light
        end = x + length - 1
        yield x, y, length, not above[x], not above[end], not below[end], not below[x]


def svg_path(matrix: Matrix, *, border: int, shape: Shape) -> str:
    """All modules as one SVG path, one unit a module, moved by ``border`` to the right and down."""
    if shape == "square":
        return "".join(
            f"M{x + border} {y + border}h{length}v1h-{length}z" for x, y, length in runs(matrix)
        )
    parts: list[str] = []
    for x, y, length, top_left, top_right, bottom_right, bottom_left in rounded_runs(matrix):
        left, top = x + border, y + border
        right, bottom = left + length, top + 1
        part = [f"M{left + _RADIUS * top_left:g} {top}H{right - _RADIUS * top_right:g}"]
        if top_right:
            part.append("a.5.5 0 0 1 .5 .5")
        part.append(f"V{bottom - _RADIUS * bottom_right:g}")
        if bottom_right:
            part.append("a.5.5 0 0 1-.5 .5")
        part.append(f"H{left + _RADIUS * bottom_left:g}")
        if bottom_left:
            part.append("a.5.5 0 0 1-.5-.5")
        if top_left:
            part.append(f"V{top + _RADIUS:g}a.5.5 0 0 1 .5-.5")
        parts.append("".join(part) + "z")
    return "".join(parts)


@lru_cache(maxsize=512)
def _rounded_operators(
    length: int, top_left: bool, top_right: bool, bottom_right: bool, bottom_left: bool
) -> tuple[tuple[str, tuple[float, ...]], ...]:
    """The run at the origin as PDF operators with their coordinates; y runs downwards."""
    r, h = _RADIUS, _RADIUS - _HANDLE
    path: list[tuple[str, tuple[float, ...]]] = [("m", (r * top_left, 0))]
    path.append(("l", (length - r * top_right, 0)))
    if top_right:
        path.append(("c", (length - h, 0, length, h, length, r)))
    path.append(("l", (length, 1 - r * bottom_right)))
    if bottom_right:
        path.append(("c", (length, 1 - h, length - h, 1, length - r, 1)))
    path.append(("l", (r * bottom_left, 1)))
    if bottom_left:
        path.append(("c", (h, 1, 0, 1 - h, 0, 1 - r)))
    if top_left:
        path.append(("l", (0, r)))
        path.append(("c", (0, h, h, 0, r, 0)))
    return tuple(path)


def pdf_path(matrix: Matrix, *, border: int, shape: Shape) -> str:
    """All modules as the operators of one PDF path, one unit a module, y downwards; without the filling."""
    if shape == "square":
        return "\n".join(
            f"{x + border} {y + border} {length} 1 re" for x, y, length in runs(matrix)
        )
    lines: list[str] = []
    for x, y, length, *corners in rounded_runs(matrix):
        left, top = x + border, y + border
        for operator, numbers in _rounded_operators(length, *corners):
            # Coordinates come in turns: x, y, x, y.
            moved = (
                f"{value + (top if index % 2 else left):.3f}".rstrip("0").rstrip(".")
                for index, value in enumerate(numbers)
            )
            lines.append(f"{' '.join(moved)} {operator}")
        lines.append("h")
    return "\n".join(lines)
