"""Fitting a line of text into a width: first smaller, then on more lines, then refused."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from apps.qrcodes.artwork.fonts import measure

#: A single line may shrink to this part of its full size before it is broken into two.
_SHRINK_BEFORE_BREAKING = 0.68
_STEP = 0.97
_OPENERS = "([{<（［｛〔【《〈「『“‘"
_CLOSERS = ")]}>,.;:!?%）］｝〕】》〉」』”’，。、；：！？·…％"
#: What must not be torn: a run of letters and digits, or one other character; brackets and stops keep to their text.
_PIECE = re.compile(
    rf"[{re.escape(_OPENERS)}]*(?:[A-Za-z0-9\u00c0-\u024f'&@#/_.+-]+|\S)[{re.escape(_CLOSERS)}]*\s*"
)


class TextTooLong(ValueError):
    """A text does not fit its place even at the smallest readable size; ``text`` is the one."""

    def __init__(self, text: str) -> None:
        self.text = text
        super().__init__(
            f"{text[:40]}… ({len(text)} characters) is too long to be printed readably"
        )


@dataclass(frozen=True, slots=True)
class Fitted:
    """Text as it will be set: ``size`` in the unit of the width that was asked for, one entry a line."""

    size: float
    lines: tuple[str, ...]


@lru_cache(maxsize=2048)
def fit(text: str, *, width: float, size: float, smallest: float, lines: int, font: str) -> Fitted:
    """Set ``text`` in at most ``lines`` lines of ``width``, as large as possible between ``smallest`` and ``size``.

    Raises TextTooLong.
    """
    if not text:
        return Fitted(size, ())
    # A glyph without width (a lone mark, in an SVG) must not divide by zero.
    length = max(measure(text, font), 0.001)
    if length * smallest > width * lines:
        raise TextTooLong(text)
    single = min(size, width / length)
    if single >= (size * _SHRINK_BEFORE_BREAKING if lines > 1 else smallest):
        return Fitted(single, (text,))
    for count in range(2, lines + 1):
        # Prefer one more line to tiny letters, until no more lines are left.
        floor = smallest if count == lines else max(smallest, size * 0.5)
        tried = size * 0.85
        while tried >= floor:
            wrapped = _wrap(text, width / tried, font)
            if len(wrapped) <= count:
                return Fitted(tried, _balanced(text, width / tried, len(wrapped), font))
            tried *= _STEP
    raise TextTooLong(text)


def _wrap(text: str, width: float, font: str) -> tuple[str, ...]:
    """Break greedily into lines of ``width`` at size 1; a word longer than a line is broken anywhere."""
    lines: list[str] = []
    current = ""
    pieces = [
        part
        for piece in _PIECE.findall(text)
        for part in ([piece] if measure(piece.rstrip(), font) <= width else list(piece))
    ]
    for piece in pieces:
        if current and measure((current + piece).rstrip(), font) > width:
            lines.append(current.rstrip())
            current = ""
        current += piece
    return (*lines, current.rstrip()) if current.strip() else tuple(lines)


def _balanced(text: str, width: float, count: int, font: str) -> tuple[str, ...]:
    """The same number of lines, but of nearly equal length: no lonely last character."""
    best = _wrap(text, width, font)
    low, high = width / count, width
    for _ in range(10):
        middle = (low + high) / 2
        wrapped = _wrap(text, middle, font)
        if len(wrapped) <= count:
            best, high = wrapped, middle
        else:
            low = middle
    return best
