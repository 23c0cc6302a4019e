"""The payer's code as a till's scanner reads it: a Code 128 barcode and a QR code, as SVG path data.

Code 128 after ISO/IEC 15417; digits go in pairs (set C), a last odd one in set B.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import qrcode
from qrcode.constants import ERROR_CORRECT_M

#: The widths of bar, space, bar … of the symbols 0 to 105, seven characters apart; the stop symbol has seven widths.
_WIDTHS: Final = (
    "212222 222122 222221 121223 121322 131222 122213 122312 132212 221213 221312 231212 112232 122132 122231 "
    "113222 123122 123221 223211 221132 221231 213212 223112 312131 311222 321122 321221 312212 322112 322211 "
    "212123 212321 232121 111323 131123 131321 112313 132113 132311 211313 231113 231311 112133 112331 132131 "
    "113123 113321 133121 313121 211331 231131 213113 213311 213131 311123 311321 331121 312113 312311 332111 "
    "314111 221411 431111 111224 111422 121124 121421 141122 141221 112214 112412 122114 122411 142112 142211 "
    "241211 221114 413111 241112 134111 111242 121142 121241 114212 124112 124211 411212 421112 421211 212141 "
    "214121 412121 111143 111341 131141 114113 114311 411113 411311 113141 114131 311141 411131 211412 211214 "
    "211232"
)
_STOP: Final = "2331112"
_START_C: Final = 105
_TO_B: Final = 100
_QUIET: Final = 10  # modules on either side
_BAR_HEIGHT: Final = 40
_QR_QUIET: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Black on white: the path data ``d`` within a box of ``width`` by ``height`` modules."""

    width: int
    height: int
    d: str


def barcode(digits: str) -> Shape:
    """The digits as Code 128. Raises ValueError for anything but digits."""
    if not digits.isascii() or not digits.isdigit():
        raise ValueError("only digits")
    even = len(digits) - len(digits) % 2
    values = [_START_C, *(int(digits[at : at + 2]) for at in range(0, even, 2))]
    if even < len(digits):
        values += [_TO_B, ord(digits[-1]) - 32]
    check = values[0] + sum(place * value for place, value in enumerate(values[1:], start=1))
    widths = "".join(_WIDTHS[7 * value : 7 * value + 6] for value in [*values, check % 103]) + _STOP
    path: list[str] = []
    x = _QUIET
    for place, width in enumerate(int(sign) for sign in widths):
        if place % 2 == 0:
            path.append(f"M{x} 0h{width}v{_BAR_HEIGHT}h-{width}z")
        x += width
    return Shape(width=x + _QUIET, height=_BAR_HEIGHT, d="".join(path))


def matrix(text: str) -> Shape:
    """A text as a QR code, correction level M, one path of horizontal runs."""
    code = qrcode.QRCode(error_correction=ERROR_CORRECT_M, border=_QR_QUIET)
    code.add_data(text)
    code.make(fit=True)
    rows = code.get_matrix()
    path: list[str] = []
    for y, row in enumerate(rows):
        start: int | None = None
        for x, dark in enumerate([*row, False]):
            if dark and start is None:
                start = x
            elif not dark and start is not None:
                path.append(f"M{start} {y}h{x - start}v1h-{x - start}z")
                start = None
    return Shape(width=len(rows), height=len(rows), d="".join(path))
