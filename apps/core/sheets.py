"""Text that people open in spreadsheets."""

from __future__ import annotations

from typing import Final

#: What a cell begins with that Excel, WPS or Numbers takes for a formula; wide ones, as a Chinese keyboard types them, too.
_BEGINS: Final = tuple("=+-@＝＋－＠")


def no_formula(text: str) -> str:
    """The text as no spreadsheet takes it for a formula: an apostrophe goes before what would begin one."""
    return f"'{text}" if text.lstrip()[:1] in _BEGINS else text
