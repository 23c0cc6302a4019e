"""Many codes at once: reading "1-20, A1-A8" and tables in CSV, and saying row by row what is wrong with them.

Nothing here touches the database: what is read are texts, what comes out are terms and flaws.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from apps.core.names import one_line
from apps.qrcodes.models import Pricing
from apps.qrcodes.terms import ANSWER_LENGTH, CodeTerms

#: Codes of one batch. More are several batches.
MOST_CODES: Final = 2_000
#: Bytes of a table that is uploaded: two thousand rows of long Chinese names are under half of it.
MOST_BYTES: Final = 1_000_000
#: Flaws that are shown; a file of the wrong sort has one in each row.
MOST_FLAWS: Final = 50
LABEL_LENGTH: Final = 30
MOST_LABELS: Final = 10
#: What stands for a code's number and area in a pattern of names.
NUMBER: Final = "{number}"
AREA: Final = "{area}"

_PART = re.compile(
    r"(?P<head>\D*?)(?P<from>\d{1,6})\s*[-–—~～至到]\s*(?P<again>\D*?)(?P<to>\d{1,6})"
)
_BETWEEN = re.compile(r"[,，、;；\n]+")
_LABEL_BETWEEN = re.compile(r"[,，、;；\n]+")
#: The columns of a table that every kind has, by what people call them.
_COLUMNS: Final[Mapping[str, frozenset[str]]] = {
    "name": frozenset({"name", "名称", "名字"}),
    "name_en": frozenset({"name_en", "english name", "英文名称", "英文名"}),
    "amount": frozenset({"amount", "amount_yuan", "金额", "固定金额"}),
    "labels": frozenset({"labels", "label", "标签"}),
}


@dataclass(frozen=True, slots=True)
class Flaw:
    """What is wrong in a row: its line (of a file, or the part of a range; 0 for the whole), the field, why, and what stood there.

    ``bulkwords.flaw_sentence`` puts it in words.
    """

    line: int
    field: str
    reason: str
    value: str = ""
    #: The row that has the same already.
    other: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """One code to be made: where it was asked for, its terms, its labels. ``template_id`` and ``kind`` as of a scenario."""

    line: int
    terms: CodeTerms
    kind: str
    template_id: int | None = None
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read: the rows that can be made as they stand, and the flaws of the others; either may be empty."""

    rows: list[Row] = field(default_factory=list)
    flaws: list[Flaw] = field(default_factory=list)


class FileRefused(ValueError):
    """A file that is no table; ``reason``: ``empty``, ``too_large``, ``workbook``, ``binary`` or ``encoding``."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def read_labels(text: str) -> tuple[str, ...]:
    """Labels between commas, each once, in the order of writing."""
    words = (one_line(word) for word in _LABEL_BETWEEN.split(text))
    return tuple(dict.fromkeys(word for word in words if word))


def label_flaw(labels: Sequence[str]) -> str:
    """Why these cannot be the labels of a code (``too_long``, ``too_many``); "" where they can."""
    if any(len(label) > LABEL_LENGTH for label in labels):
        return "too_long"
    return "too_many" if len(labels) > MOST_LABELS else ""


def read_numbers(text: str, *, without_four: bool = False) -> tuple[list[str], list[Flaw]]:
    """The numbers of a range such as ``1-20, A01-A08, VIP``, in that order, and what cannot be read.

    A leading zero is kept and sets the width. ``without_four`` leaves out numbers with a 4, which sounds like death in Chinese.
    Each flaw's line counts the parts between commas.
    """
    numbers: dict[str, int] = {}
    flaws: list[Flaw] = []
    made = 0
    parts = [one_line(part) for part in _BETWEEN.split(unicodedata.normalize("NFKC", text))]
    for line, part in enumerate((part for part in parts if part), start=1):
        reason, found = _numbers_of(part)
        if reason:
            flaws.append(Flaw(line, "numbers", reason, part[:40]))
        again = ""
        for number in found:
            made += 1
            if without_four and "4" in number:
                continue
            again = again or (number if number in numbers else "")
            numbers.setdefault(number, line)
        if again:
            flaws.append(Flaw(line, "numbers", "twice", again))
        # Also what is named twice is counted: it takes its time as well.
        if made > MOST_CODES:
            return [], [Flaw(line, "numbers", "too_many", part[:40])]
    if not numbers and not flaws:
        flaws.append(Flaw(0, "numbers", "missing"))
    return list(numbers), flaws


def _numbers_of(part: str) -> tuple[str, Iterable[str]]:
    span = _PART.fullmatch(part)
    if span is None:
        return ("too_long", ()) if len(part) > ANSWER_LENGTH else ("", (part,))
    head, again = span["head"].strip(), span["again"].strip()
    first, last = int(span["from"]), int(span["to"])
    if again and again != head:
        return "ends_differ", ()
    if last < first:
        return "backwards", ()
    if last - first >= MOST_CODES:
        return "too_many", ()
    width = len(span["from"]) if span["from"].startswith("0") else 0
    return "", (f"{span['head']}{number:0{width}d}" for number in range(first, last + 1))


def decode(content: bytes) -> str:
    """The text of an uploaded table: UTF-8 with or without a mark, UTF-16 with one, or GB18030. Raises FileRefused."""
    if len(content) > MOST_BYTES:
        raise FileRefused("too_large")
    if content.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        raise FileRefused("workbook")
    marked = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
    encodings = [name for mark, name in marked.items() if content.startswith(mark)]
    text = _first_decoded(content, encodings or ["utf-8", "gb18030"])
    if "\x00" in text:
        raise FileRefused("binary")
    if not text.strip():
        raise FileRefused("empty")
    return text


def _first_decoded(content: bytes, encodings: Iterable[str]) -> str:
    for encoding in encodings:
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise FileRefused("encoding")


def read_table(text: str, *, questions: Mapping[str, frozenset[str]]) -> TableReading:
    """The rows of a table whose first line names its columns; commas, semicolons or tabs between them.

    ``questions``: each question's key with all that people call it, in lower case. Lines count from 1, the heading's.
    """
    known = {**_COLUMNS, **questions}
    first = text.lstrip("\ufeff").split("\n", 1)[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text.lstrip("\ufeff"), newline=""), delimiter=delimiter)
    result = TableReading()
    try:
        heading = [one_line(title).casefold() for title in next(reader, [])]
        fields = [
            next((name for name, names in known.items() if title in names), "") for title in heading
        ]
        result.flaws.extend(_heading_flaws(heading, fields))
        if result.flaws:
            return result
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(result.rows) == MOST_CODES:
                result.flaws.append(Flaw(reader.line_num, "", "too_many"))
                return result
            if len(cells) > len(fields) and any(cell.strip() for cell in cells[len(fields) :]):
                result.flaws.append(Flaw(reader.line_num, "", "too_many_cells", str(len(cells))))
                continue
            values = {
                name: one_line(cell) for name, cell in zip(fields, cells, strict=False) if name
            }
            result.rows.append((reader.line_num, values))
    except csv.Error:
        result.flaws.append(Flaw(reader.line_num, "", "unreadable"))
    if not result.rows and not result.flaws:
        result.flaws.append(Flaw(0, "", "no_rows"))
    return result


@dataclass(slots=True)
class TableReading:
    """The cells of a table by field and line, and what is wrong with its shape."""

    rows: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    flaws: list[Flaw] = field(default_factory=list)


def _heading_flaws(heading: Sequence[str], fields: Sequence[str]) -> Iterator[Flaw]:
    if "name" not in fields and "number" not in fields:
        # A table without a heading would have each of its first cells called an unknown column.
        yield Flaw(1, "name", "no_name_column")
        return
    for title, name in zip(heading, fields, strict=True):
        if title and not name:
            yield Flaw(1, "", "unknown_column", title[:40])
        elif name and fields.count(name) > 1 and fields.index(name) == heading.index(title):
            yield Flaw(1, name, "column_twice", title[:40])


def filled(pattern: str, values: Mapping[str, str]) -> str:
    """A pattern of names with a row's number and area in their places; "" where it wants a number and there is none."""
    if NUMBER in pattern and not values.get("number"):
        return ""
    text = pattern.replace(NUMBER, values.get("number", "")).replace(AREA, values.get("area", ""))
    return one_line(text)


def row_terms(
    base: CodeTerms,
    values: Mapping[str, str],
    *,
    questions: Iterable[str],
    pattern: str = "",
    pattern_en: str = "",
    minor: int | None = None,
) -> CodeTerms:
    """The terms of one code: ``base`` with the row's name (or the pattern's), its answers and its fixed amount in fen."""
    details = dict(base.details) | {key: values[key] for key in questions if values.get(key)}
    terms = replace(
        base,
        name=values.get("name") or filled(pattern, values),
        name_en=values.get("name_en") or filled(pattern_en, values),
        details=details,
    )
    if minor is None:
        return terms
    return replace(terms, pricing=Pricing.FIXED.value, amount_minor=minor)


def doubles(rows: Iterable[Row]) -> Iterator[Flaw]:
    """Rows whose name an earlier one has already."""
    seen: dict[str, int] = {}
    for row in rows:
        name = row.terms.name.casefold()
        if not name:
            continue
        if name in seen:
            yield Flaw(row.line, "name", "twice", row.terms.name, other=seen[name])
        else:
            seen[name] = row.line
