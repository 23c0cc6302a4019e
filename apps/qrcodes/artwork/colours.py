"""Colours as people choose them ("#RRGGBB"), what a scanner sees of them, and the inks that print them."""

from __future__ import annotations

import re

from reportlab.lib.colors import CMYKColor

_HEX = re.compile(r"#[0-9A-Fa-f]{6}")

#: Pure black ink: four inks that are off by a hair would blur the modules.
BLACK = CMYKColor(0, 0, 0, 1)
GREY = CMYKColor(0, 0, 0, 0.62)
PALE = CMYKColor(0, 0, 0, 0.22)
WHITE = CMYKColor(0, 0, 0, 0)


def is_colour(text: str) -> bool:
    """Whether ``text`` is a colour such as "#206BC4"."""
    return _HEX.fullmatch(text) is not None


def rgb(colour: str) -> tuple[int, int, int]:
    """Red, green and blue of "#RRGGBB", each 0 to 255."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def cmyk(colour: str) -> CMYKColor:
    """Process colours for "#RRGGBB", with as much black ink as possible, so that greys stay neutral."""
    red, green, blue = (part / 255 for part in rgb(colour))
    black = 1 - max(red, green, blue)
    if black == 1:
        return BLACK
    cyan, magenta, yellow = (
        round((1 - part - black) / (1 - black), 4) for part in (red, green, blue)
    )
    return CMYKColor(cyan, magenta, yellow, round(black, 4))


def luminance(colour: str) -> float:
    """Relative luminance of "#RRGGBB", 0 (black) to 1 (white), as WCAG 2 defines it."""
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (value / 255 for value in rgb(colour))
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def symbol_contrast(dark: str, light: str) -> float:
    """ISO/IEC 15415's symbol contrast of two colours: the light one's reflectance less the dark one's, -1 to 1.

    Reflectance is taken to be the luminance. The standard grades 0.70 and more A, 0.55 B, 0.40 C, 0.20 D.
    """
    return luminance(light) - luminance(dark)
