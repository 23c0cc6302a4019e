"""Transactions as an Excel workbook: cells that know what they are, and the sums on a sheet of their own.

Amounts are numbers, times and days are dates, numbers that name something are text with every digit; text is text, so
nothing in it can become a formula. Rows pass through one by one (XlsxWriter's constant memory), so what is held in
memory does not grow with the file; the file itself grows on disk until it is whole, and only then is handed out.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import IO, Any, Final

import xlsxwriter
from django.conf import settings
from django.db import connection, transaction
from django.utils.translation import gettext, override

from apps.core import clock
from apps.reports.selectors import TransactionFilters, sum_transactions
from apps.reports.services.exports import (
    CHUNK,
    COLUMNS,
    HEADERS,
    Cell,
    summary_rows,
    titles,
    typed_rows,
)

#: More rows than this take too long for a page that waits; the CSV has no such limit.
MAX_ROWS: Final = 200_000
#: What one sheet of Excel holds, its heading counted.
SHEET_ROWS: Final = 1_048_576
#: Rows fetched at once.
_FETCH: Final = 2_000
_WIDTHS: Final = {
    Cell.TEXT: 20,
    Cell.WORD: 12,
    Cell.NUMBER: 30,
    Cell.YUAN: 14,
    Cell.TIME: 20,
    Cell.DATE: 12,
}
_FORMATS: Final = {
    Cell.YUAN: "#,##0.00",
    Cell.TIME: "yyyy-mm-dd hh:mm:ss",
    Cell.DATE: "yyyy-mm-dd",
    # "@" keeps a cell text also when somebody edits it.
    Cell.NUMBER: "@",
}


class TooManyRows(ValueError):
    """A workbook of so many rows is not made while a page waits."""


def export_workbook(
    filters: TransactionFilters,
    *,
    chosen: Sequence[tuple[str, str, str]] = (),
    headers: str = "zh",
    now: datetime,
) -> IO[bytes]:
    """The workbook as an open temporary file at its beginning; whoever reads it closes it.

    ``chosen``: the filters in words. Raises TooManyFound, TooManyRows, and OSError when the disk is full.
    """
    sums = sum_transactions(filters)
    if sums.rows > MAX_ROWS:
        raise TooManyRows(sums.rows)
    file = tempfile.TemporaryFile(dir=settings.DATA_DIR)  # noqa: SIM115  # closed by its reader
    try:
        with override(HEADERS[headers] or "en"):
            book = xlsxwriter.Workbook(
                file,
                {
                    "constant_memory": True,
                    "tmpdir": str(settings.DATA_DIR),
                    "strings_to_formulas": False,
                    "strings_to_urls": False,
                    "strings_to_numbers": False,
                },
            )
            # Excel knows no zones; what it shows as "created" is China's time like all the others.
            book.set_properties({"created": now.astimezone(clock.CHINA).replace(tzinfo=None)})
            _write_rows(book, filters, headers)
            _write_summary(book, filters, chosen, headers, now)
            book.close()
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return file


def read_pieces(file: IO[bytes]) -> Iterator[bytes]:
    """The file in pieces; it is closed at the end, or when its reader goes away."""
    with file:
        while piece := file.read(CHUNK):
            yield piece


def _write_rows(book: Any, filters: TransactionFilters, headers: str) -> None:
    formats = {cell: book.add_format({"num_format": form}) for cell, form in _FORMATS.items()}
    head = book.add_format({"bold": True, "bottom": 1})
    columns = [
        (place, column.cell, formats.get(column.cell)) for place, column in enumerate(COLUMNS)
    ]
    heading = titles(headers)
    sql, params = typed_rows(filters, headers)
    sheets = 1
    sheet, count = _new_sheet(book, sheets, heading, head), 1
    with transaction.atomic(), connection.chunked_cursor() as cursor:
        cursor.execute(sql, params)
        while rows := cursor.fetchmany(_FETCH):
            for row in rows:
                if count == SHEET_ROWS:
                    sheets += 1
                    sheet, count = _new_sheet(book, sheets, heading, head), 1
                for place, cell, form in columns:
                    value = row[place]
                    if value is None:
                        continue
                    if cell is Cell.YUAN:
                        sheet.write_number(count, place, value, form)
                    elif cell in (Cell.TIME, Cell.DATE):
                        sheet.write_datetime(count, place, value, form)
                    else:
                        sheet.write_string(count, place, value, form)
                count += 1


def _new_sheet(book: Any, number: int, heading: list[str], head: Any) -> Any:
    name = gettext("Transactions")
    sheet = book.add_worksheet(name if number == 1 else f"{name} {number}")
    sheet.freeze_panes(1, 0)
    for place, column in enumerate(COLUMNS):
        sheet.set_column(place, place, _WIDTHS[column.cell])
        sheet.write_string(0, place, heading[place], head)
    return sheet


def _write_summary(
    book: Any,
    filters: TransactionFilters,
    chosen: Sequence[tuple[str, str, str]],
    headers: str,
    now: datetime,
) -> None:
    machine = HEADERS[headers] is None
    head = book.add_format({"bold": True, "bottom": 1})
    yuan = book.add_format({"num_format": _FORMATS[Cell.YUAN]})
    sheet = book.add_worksheet(gettext("Sums"))
    sheet.freeze_panes(1, 0)
    sheet.set_column(0, 3, 24)
    words = [gettext("Item"), gettext("Count"), gettext("Amount (yuan)"), gettext("Remark")]
    for place, word in enumerate(["item", "count", "amount_yuan", "note"] if machine else words):
        sheet.write_string(0, place, word, head)
    filter_word, made_word = gettext("Filter"), gettext("Made")
    line = 1
    for name, title, count, minor in summary_rows(sum_transactions(filters)):
        sheet.write_string(line, 0, name if machine else str(title))
        sheet.write_number(line, 1, count)
        if minor is not None:
            sheet.write_number(line, 2, Decimal(minor).scaleb(-2), yuan)
        line += 1
    for name, label, value in chosen:
        which = f"filter_{name}" if machine else f"{filter_word}: {label}"
        sheet.write_string(line, 0, which)
        sheet.write_string(line, 3, value)
        line += 1
    sheet.write_string(
        line, 0, "made_at_asia_shanghai" if machine else f"{made_word}(Asia/Shanghai)"
    )
    sheet.write_string(line, 3, f"{now.astimezone(clock.CHINA):%Y-%m-%d %H:%M:%S}")
