"""How much of a code a logo may cover: counted in the codewords of each block, as the code's own correction counts.

A reader repairs each block of a code by itself, so a patch that is harmless on the whole can still kill the one block that it
happens to lie on. Where the codewords lie follows ISO/IEC 18004; tests compare it with the codes that ``qrcode`` makes.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

from qrcode.base import rs_blocks
from qrcode.util import pattern_position

from apps.qrcodes.artwork.matrix import LEVELS, Level

#: The part of each block's correction that a logo may use up. The rest is for dirt, scratches and a bent corner.
SHARE_FOR_LOGO = 0.5


def size_of(version: int) -> int:
    """Modules along an edge."""
    return 17 + 4 * version


def version_of(size: int) -> int:
    """The version of a code of ``size`` modules."""
    return (size - 17) // 4


@lru_cache(maxsize=40)
def _patterns(version: int) -> tuple[frozenset[tuple[int, int]], frozenset[tuple[int, int]]]:
    """Modules (x, y) that a reader finds its way by, and those of alignment patterns, which it can spare one of."""
    size = size_of(version)
    fixed: set[tuple[int, int]] = set()
    # Finder patterns, their light edges, and the format bits along these.
    for left, top, right, bottom in ((0, 0, 9, 9), (size - 8, 0, size, 9), (0, size - 8, 9, size)):
        fixed.update((x, y) for x in range(left, right) for y in range(top, bottom))
    fixed.update((along, 6) for along in range(size))
    fixed.update((6, along) for along in range(size))
    if version >= 7:
        for a in range(6):
            for b in range(size - 11, size - 8):
                fixed.update(((a, b), (b, a)))
    alignment: set[tuple[int, int]] = set()
    centres = pattern_position(version)
    for column in centres:
        for row in centres:
            if (column, row) in ((6, 6), (6, size - 7), (size - 7, 6)):
                continue
            alignment.update(
                (x, y) for x in range(column - 2, column + 3) for y in range(row - 2, row + 3)
            )
    return frozenset(fixed), frozenset(alignment)


@lru_cache(maxsize=40)
def codeword_map(version: int) -> dict[tuple[int, int], int]:
    """For each module (x, y) that holds data: the number of its codeword, in the order in which they are laid."""
    fixed, alignment = _patterns(version)
    taken = fixed | alignment
    size = size_of(version)
    places: dict[tuple[int, int], int] = {}
    bit = 0
    upward = True
    right = size - 1
    while right > 0:
        if right == 6:  # the timing pattern's column is left out
            right -= 1
        for y in range(size - 1, -1, -1) if upward else range(size):
            for x in (right, right - 1):
                if (x, y) not in taken:
                    places[x, y] = bit // 8
                    bit += 1
        upward = not upward
        right -= 2
    return places


@dataclass(frozen=True, slots=True)
class Block:
    """One block of a code: how many codewords it has, and how many wrong ones a reader can repair."""

    codewords: int
    repairs: int


@lru_cache(maxsize=160)
def blocks(version: int, level: Level) -> tuple[Block, ...]:
    """The blocks of a code."""
    return tuple(
        Block(one.total_count, (one.total_count - one.data_count) // 2)
        for one in rs_blocks(version, LEVELS[level])
    )


@lru_cache(maxsize=160)
def block_order(version: int, level: Level) -> tuple[int, ...]:
    """The block of each codeword, in the order in which they are laid: data by turns, then correction by turns."""
    parts = rs_blocks(version, LEVELS[level])
    order: list[int] = []
    for counts in (
        [one.data_count for one in parts],
        [one.total_count - one.data_count for one in parts],
    ):
        for turn in range(max(counts)):
            order.extend(number for number, count in enumerate(counts) if turn < count)
    return tuple(order)


def patch(size: int, edge: int) -> range:
    """Columns (and rows) of a square of ``edge`` modules in the middle of a code; ``edge`` is odd, as ``size`` is."""
    start = (size - edge) // 2
    return range(start, start + edge)


@lru_cache(maxsize=1024)
def damage(version: int, level: Level, edge: int) -> tuple[int, ...]:
    """Codewords of each block that a square of ``edge`` modules in the middle touches. One touched module counts whole."""
    span = patch(size_of(version), edge)
    places = codeword_map(version)
    touched = {places[x, y] for x in span for y in span if (x, y) in places}
    # The last few modules of a code belong to no codeword.
    order = block_order(version, level)
    count = Counter(order[number] for number in touched if number < len(order))
    return tuple(count[number] for number in range(len(blocks(version, level))))


def bears(version: int, level: Level, edge: int) -> bool:
    """Whether a code still reads, with room to spare, when ``edge`` × ``edge`` modules in its middle are covered."""
    fixed, _ = _patterns(version)
    span = patch(size_of(version), edge)
    if any((x, y) in fixed for x in span for y in span):
        return False
    return all(
        hurt <= int(block.repairs * SHARE_FOR_LOGO)
        for hurt, block in zip(damage(version, level, edge), blocks(version, level), strict=True)
    )


@lru_cache(maxsize=160)
def largest_patch(version: int, level: Level) -> int:
    """The largest odd edge that ``bears``; 0 where not even one module may be covered."""
    edge = -1
    while bears(version, level, edge + 2):
        edge += 2
    return max(edge, 0)


def patch_edge(size: int, percent: int) -> int:
    """Modules along the edge of a patch that takes ``percent`` of a code's width, rounded down to an odd number."""
    edge = size * percent // 100
    return edge if edge % 2 else edge - 1
