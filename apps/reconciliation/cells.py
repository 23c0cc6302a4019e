"""Where a bill row was taken, read from its columns in SQL: ``l`` is the row of ``statements_statementline``."""

from __future__ import annotations

from typing import Final


def cell(*headings: str) -> str:
    """The first of these columns that holds something, or ""; WeChat puts a grave accent before each value."""
    found = (f"NULLIF(btrim(l.raw ->> '{heading}', E'` \\t'), '')" for heading in headings)
    return f"left(COALESCE({', '.join(found)}, ''), 64)"


TERMINAL_CELL: Final = cell("终端号", "设备号", "终端编号", "终端SN", "终端序列号")
STORE_CELL: Final = cell("门店编号", "门店号", "商户门店号")
SUBJECT_CELL: Final = cell("商品名称", "商品")
