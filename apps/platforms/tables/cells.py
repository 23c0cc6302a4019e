"""The cells of a table in a file: its lines, headings and columns, whatever it is a table of."""

from __future__ import annotations

import csv
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import IO, Final, Self

from apps.platforms import files
from apps.platforms.gateway import (
    StatementUnreadable,
)

#: Lines above the headings, at most: a title, the period, the shop.
PREAMBLE: Final = 50
_TOTALS = re.compile(r"(合计|总计|小计|共计|总笔数|total\b|sum\b|#)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Sample:
    """The beginning of a table: its headings, the line they stand on, and the first rows with their line numbers."""

    headings: tuple[str, ...]
    line: int
    rows: tuple[tuple[int, tuple[str, ...]], ...]


def clean(cell: str) -> str:
    """A cell without what spreadsheets and consoles put around it: spaces, tabs, ``="…"``, a leading quote or backtick."""
    cell = cell.strip().strip("\ufeff")
    if cell.startswith('="') and cell.endswith('"'):
        cell = cell[2:-1]
    return cell.strip().lstrip("'`").strip()


def look(content: bytes | IO[bytes], *, rows: int = 5, is_bill: bool = True) -> Sample:
    """The headings of a file and its first rows. Raises StatementUnreadable where there is nothing like a table.

    ``is_bill``: a private wallet's bill is refused; other tables may hold the same words.
    """
    reader = rows_of(content, is_bill=is_bill)
    for number, cells in reader:
        if number > PREAMBLE:
            break
        named = [cell for cell in cells if cell]
        # Headings are words, all different; a title has one cell, a row of a bill has figures.
        figures = sum(any(letter.isdigit() for letter in cell) for cell in named)
        if len(named) < 3 or len(set(named)) != len(named) or figures * 2 > len(named):
            continue
        found = []
        # Of a file of nothing but totals no more is looked at than that.
        for line, row in islice(reader, files.MAX_BLANK):
            if is_total(row):
                continue
            found.append((line, tuple(row)))
            if len(found) == rows:
                break
        return Sample(tuple(cells), number, tuple(found))
    raise StatementUnreadable("other_format", "no line of headings")


def cells_of(content: bytes, columns: Mapping[str, str]) -> Iterator[tuple[int, Mapping[str, str]]]:
    """The cells of a table of any kind, by our names for its columns, each row with its line; rows of totals are left out.

    ``columns``: the heading of each of our names, "" where the file has none. Raises StatementUnreadable.
    """
    reader = rows_of(content, is_bill=False)
    _headings, places = find_headings(reader, columns, fields=frozenset(columns))
    previous: StatementUnreadable | None = None
    for number, cells in reader:
        if previous is not None:
            raise previous
        if is_total(cells):
            continue
        if len(cells) < 1 + max(places.values()):
            # In the last line it is the end of a file that was cut off.
            previous = StatementUnreadable("bad_row", "cells are missing", line=number)
            continue
        yield number, {field: cells[place] for field, place in places.items()}
    if previous is not None:
        raise StatementUnreadable("truncated", "the last line is cut off", line=previous.line)


def sample_cells(
    sample: Sample, columns: Mapping[str, str]
) -> Iterator[tuple[int, Mapping[str, str]]]:
    """As ``cells_of``, of a sample. Raises StatementUnreadable."""
    places = places_of(sample.headings, sample.line, columns, fields=frozenset(columns))
    for number, cells in sample.rows:
        yield (
            number,
            {field: cells[place] if place < len(cells) else "" for field, place in places.items()},
        )


def rows_of(content: bytes | IO[bytes], *, is_bill: bool = True) -> Iterator[tuple[int, list[str]]]:
    """The rows that hold anything, each with the number of its first line; cells are cleaned."""
    lines = _Lines(content, is_bill=is_bill)
    delimiter = lines.delimiter()
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        for row in reader:
            cells = [clean(cell) for cell in row]
            if len(cells) > files.MAX_COLUMNS:
                raise StatementUnreadable("other_format", "too many columns", line=lines.began)
            if any(cells):
                yield lines.began, cells
            lines.began = 0
    except csv.Error as error:
        cut = "end of data" in str(error)
        raise StatementUnreadable(
            "truncated" if cut else "bad_row", "not a row of a table", line=lines.began or None
        ) from error


class _Lines:
    """The lines of a table as a CSV reader wants them; ``began`` is the number of the first line of the row being read."""

    def __init__(self, content: bytes | IO[bytes], *, is_bill: bool = True) -> None:
        self._lines = files.text_lines(_member(content))
        self._head = list(islice(self._lines, PREAMBLE))
        if not self._head:
            raise StatementUnreadable("truncated", "the file is empty")
        for _number, line in self._head if is_bill else ():
            files.refuse_personal(line)
        self._source = chain(self._head, self._lines)
        self.began = 0
        self._length = 0

    def delimiter(self) -> str:
        """What stands between cells, as the first line says that has several."""
        many = (line for _number, line in self._head if line.count(",") + line.count("\t") > 1)
        first = next(many, "")
        return "\t" if first.count("\t") > first.count(",") else ","

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        number, line = next(self._source)
        if not self.began:
            self.began, self._length = number, 0
        self._length += len(line)
        # A quote that is never closed would take the rest of the file for one cell.
        if self._length > files.MAX_LINE:
            raise StatementUnreadable("line_too_long", "a row without end", line=self.began)
        return line + "\n"


def _member(content: bytes | IO[bytes]) -> files.Member:
    found = [
        one for one in files.members(content) if not one.name or one.name.lower().endswith((".csv", ".txt", ".tsv"))
    ]  # fmt: skip
    if len(found) != 1:
        raise StatementUnreadable("other_format", "not one table but none or several")
    return found[0]


def is_total(cells: Sequence[str]) -> bool:
    """Whether a row adds others up."""
    first = next((cell for cell in cells if cell), "")
    return _TOTALS.match(first) is not None


def find_headings(
    reader: Iterator[tuple[int, list[str]]],
    columns: Mapping[str, str],
    *,
    fields: Collection[str],
) -> tuple[list[str], dict[str, int]]:
    """The line that has all headings of a column map, and where each of ``fields`` stands in it. Raises StatementUnreadable."""
    wanted = [heading for heading in columns.values() if heading]
    best, line, closest = 0, 0, list[str]()
    for number, cells in reader:
        if number > PREAMBLE:
            break
        present = sum(heading in cells for heading in wanted)
        if present == len(wanted):
            return cells, places_of(cells, number, columns, fields=fields)
        if present > best:
            best, line, closest = present, number, cells
    if not best:
        raise StatementUnreadable("other_format", "no line has the headings of the column map")
    missing = next(heading for heading in wanted if heading not in closest)
    raise StatementUnreadable("column_missing", "no such column", line=line, column=missing)


def places_of(
    headings: Sequence[str],
    line: int,
    columns: Mapping[str, str],
    *,
    fields: Collection[str],
) -> dict[str, int]:
    """Where each of ``fields`` stands among the headings. Raises StatementUnreadable."""
    places = {}
    for field, heading in columns.items():
        if field not in fields or not heading:
            continue
        if heading not in headings:
            raise StatementUnreadable("column_missing", "no such column", line=line, column=heading)
        if list(headings).count(heading) > 1:
            raise StatementUnreadable("column_twice", "two such columns", line=line, column=heading)
        places[field] = list(headings).index(heading)
    return places
