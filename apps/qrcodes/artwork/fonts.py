"""The typeface of everything we print, and what it cannot print.

Noto Sans SC (OFL, ``static/vendor/fonts``) covers GBK and Extension A but little of Extension B, no emoji and no script
written from right to left. Such text would come out as crossed boxes, so it is named before printing instead.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache, lru_cache
from pathlib import Path
from threading import RLock
from typing import Any

from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from typing_extensions import override

FONT_DIR = Path(__file__).resolve().parents[3] / "static" / "vendor" / "fonts"
REGULAR = "NotoSansSC-Regular"
BOLD = "NotoSansSC-Bold"

#: reportlab's parsed font keeps a reading position, so one document at a time may draw with it.
font_lock = RLock()

_LONG_CODE = re.compile(r"<([0-9A-F]{5,6})>")
_VARIATION_SELECTORS = (range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))
_SELECTOR = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")


class UnprintableText(ValueError):
    """A text holds characters that the printing font lacks; ``characters`` names each once, in order."""

    def __init__(self, characters: tuple[str, ...]) -> None:
        self.characters = characters
        names = ", ".join(_describe(character) for character in characters)
        super().__init__(f"the printing font has no glyph for {names}")


def _describe(character: str) -> str:
    code = f"U+{ord(character):04X}"
    return (
        f"{character} ({code})"
        if character.isprintable() and not unicodedata.combining(character)
        else code
    )


def font_path(name: str) -> Path:
    """The file of REGULAR or BOLD."""
    return FONT_DIR / f"{name}.ttf"


class _Font(TTFont):  # type: ignore[misc]  # reportlab has no types
    """reportlab's font, with rare characters that can be searched and copied.

    reportlab names characters beyond U+FFFF in five hex digits in the table that readers use to find
    text; the format (ISO 32000-1, 9.10.3) wants UTF-16, so readers dropped them.
    """

    @override
    def addObjects(self, doc: Any) -> None:
        super().addObjects(doc)
        for key, stream in doc.idToObject.items():
            if key.startswith("toUnicodeCMap:"):
                stream.content = _LONG_CODE.sub(_as_utf16, stream.content)


def _as_utf16(code: re.Match[str]) -> str:
    return f"<{chr(int(code[1], 16)).encode('utf-16-be').hex().upper()}>"


@cache
def font(name: str) -> TTFont:
    """The parsed font, registered with reportlab under its own name on first use (about 0.1 s)."""
    with font_lock:
        if name not in pdfmetrics.getRegisteredFontNames():
            # Shaping is off: it would depend on an optional library being installed, and so would the bytes.
            pdfmetrics.registerFont(_Font(name, font_path(name), shapable=False))
        return pdfmetrics.getFont(name)


def _leaves_no_ink(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf") or any(
        ord(character) in selectors for selectors in _VARIATION_SELECTORS
    )


def _is_no_character(character: str) -> bool:
    """Half a surrogate pair, or a code point that Unicode and XML set aside."""
    return unicodedata.category(character) == "Cs" or ord(character) & 0xFFFE == 0xFFFE


def tidy(text: str) -> str:
    """``text`` as one line: composed (NFC), white space collapsed, marks without ink taken out.

    Those marks are controls, direction overrides, joiners and variation selectors: they can turn a
    line around or end an XML document early, and a printed line does not need them. What is no
    character at all becomes U+FFFD.
    """
    one_line = " ".join(unicodedata.normalize("NFC", text).split())
    # What Python calls printable has neither controls nor formats nor surrogates nor what is set aside.
    if one_line.isprintable() and not _SELECTOR.search(one_line):
        return one_line
    inked = "".join(
        "\ufffd" if _is_no_character(character) else character
        for character in one_line
        if not _leaves_no_ink(character)
    )
    return " ".join(inked.split())


def missing_glyphs(text: str) -> tuple[str, ...]:
    """The characters of ``text`` that the printing font lacks, each once, in order of appearance.

    Combining marks that have no composed form count as missing: without shaping they would print beside their letter.
    """
    each = dict.fromkeys(unicodedata.normalize("NFC", text))
    return tuple(character for character in each if _is_missing(character))


@lru_cache(maxsize=65_536)
def _is_missing(character: str) -> bool:
    if character.isspace() or _leaves_no_ink(character):
        return False
    return (
        ord(character) not in font(REGULAR).face.charToGlyph
        or ord(character) not in font(BOLD).face.charToGlyph
        or unicodedata.category(character) in ("Mn", "Me", "Cs", "Co", "Cn")
    )


def require_printable(*texts: str) -> None:
    """Raise UnprintableText naming every missing character of all ``texts``."""
    missing = missing_glyphs("\n".join(texts))
    if missing:
        raise UnprintableText(missing)


def measure(text: str, name: str) -> float:
    """The width of ``text`` set at size 1; multiply by the size. A missing glyph counts as its box."""
    face = font(name).face
    widths: dict[int, float] = face.charWidths
    fallback: float = face.defaultWidth
    return sum(widths.get(ord(character), fallback) for character in text) / 1000
