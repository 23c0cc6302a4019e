"""Bill files as people and platforms hand them over: packed or not, in any of the usual encodings. Free of Django.

Everything is read as a stream and bounded, since a file may come from an upload.
"""

from __future__ import annotations

import gzip
import io
import json
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import IO, Any, Final

from apps.core.money import InvalidAmount
from apps.platforms.gateway import StatementUnreadable

#: The most bytes a bill may have when unpacked.
MAX_UNPACKED: Final = 4 * 1024 * 1024 * 1024
MAX_MEMBERS: Final = 50
#: The most characters a line may have, and the most columns; real bills stay below a thousand and below fifty.
MAX_LINE: Final = 16 * 1024
MAX_COLUMNS: Final = 200
#: So many lines without anything in them end a file's reading: no bill has them.
MAX_BLANK: Final = 1000
_PADDING: Final = ' ,\t"\u3000'
_HEAD: Final = 64 * 1024
_BINARY: Final = re.compile(rb"[\x00-\x08\x0e-\x1f]")

_GZIP = b"\x1f\x8b"
_ZIP = b"PK"
#: Columns that only the bills for private persons have, of both wallets.
_PERSONAL = ("收/支", "交易对方")
_PERSONAL_TITLES = ("微信支付账单明细", "支付宝交易记录明细查询", "支付宝（中国）网络技术有限公司")


class _Bounded(io.RawIOBase):
    """A stream that refuses to give more than ``limit`` bytes and words what is wrong with a broken archive."""

    def __init__(self, source: IO[bytes], limit: int) -> None:
        super().__init__()
        self._source = source
        self._left = limit

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer).cast("B")
        try:
            chunk = self._source.read(len(view))
        except EOFError as error:
            raise StatementUnreadable("truncated", "the packed file ends too early") from error
        except (zlib.error, gzip.BadGzipFile, zipfile.BadZipFile) as error:
            raise StatementUnreadable("truncated", "the packed file is damaged") from error
        except (RuntimeError, NotImplementedError) as error:
            raise StatementUnreadable("other_format", "the packed file needs a password") from error
        self._left -= len(chunk)
        if self._left < 0:
            raise StatementUnreadable("too_large", "the file is too large when unpacked")
        view[: len(chunk)] = chunk
        return len(chunk)


@dataclass(frozen=True, slots=True)
class Member:
    """One file inside what was handed over; ``open`` starts reading it from the beginning."""

    name: str
    open: Callable[[], IO[bytes]]


def as_stream(content: bytes | IO[bytes]) -> IO[bytes]:
    """What was handed over as a file that can be read again from its beginning."""
    return io.BytesIO(content) if isinstance(content, bytes) else content


def members(content: bytes | IO[bytes], *, limit: int = MAX_UNPACKED) -> list[Member]:
    """The files in ``content``: a zip's members, or the one file that is plain or gzip.

    Names inside a zip are read as GBK where the archive does not say UTF-8 (Alipay's habit). Raises
    StatementUnreadable: truncated, too_large, other_format, zip_path.
    """
    source = as_stream(content)
    source.seek(0)
    head = source.read(8)
    if head[:2] == _ZIP:
        return _zip_members(source, limit)
    if head[:5] == b"%PDF-" or head == b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1":
        raise StatementUnreadable("other_format", "a PDF or Excel file, not the CSV bill")

    def start() -> IO[bytes]:
        source.seek(0)
        if head[:2] == _GZIP:
            return _stream(gzip.GzipFile(fileobj=source), limit)
        return _stream(_Shared(source), limit)

    return [Member("", start)]


class _Shared:
    """A stream that whoever reads it does not close."""

    def __init__(self, source: IO[bytes]) -> None:
        self.read = source.read


def _stream(source: IO[bytes] | gzip.GzipFile | _Shared, limit: int) -> IO[bytes]:
    return io.BufferedReader(_Bounded(source, limit), 1 << 16)  # type: ignore[arg-type]


def _zip_members(content: IO[bytes], limit: int) -> list[Member]:
    try:
        archive = zipfile.ZipFile(content)
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
        raise StatementUnreadable("truncated", "the zip file is damaged or incomplete") from error
    entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    if any(entry.filename.startswith("xl/") for entry in entries):
        raise StatementUnreadable("other_format", "an Excel workbook, not the CSV bill")
    if len(entries) > MAX_MEMBERS:
        raise StatementUnreadable("too_large", "the zip file holds too many files")
    if sum(entry.file_size for entry in entries) > limit:
        raise StatementUnreadable("too_large", "the file is too large when unpacked")
    if any(entry.flag_bits & 0x1 for entry in entries):
        raise StatementUnreadable("other_format", "the zip file needs a password")

    if any(_leads_out(_zip_name(entry)) for entry in entries):
        raise StatementUnreadable("zip_path", "the zip file names files outside itself")

    def opener(entry: zipfile.ZipInfo) -> Callable[[], IO[bytes]]:
        def start() -> IO[bytes]:
            try:
                return _stream(archive.open(entry), limit)
            except (zipfile.BadZipFile, OSError) as error:
                raise StatementUnreadable("truncated", "the zip file is damaged") from error
            except (RuntimeError, NotImplementedError) as error:
                raise StatementUnreadable("other_format", "an unusual zip file") from error

        return start

    return [Member(_zip_name(entry), opener(entry)) for entry in entries]


def _zip_name(entry: zipfile.ZipInfo) -> str:
    if entry.flag_bits & 0x800:
        return entry.filename
    try:
        return entry.filename.encode("cp437").decode("gb18030")
    except UnicodeError:
        return entry.filename


def _leads_out(name: str) -> bool:
    parts = re.split(r"[/\\]", name)
    return ".." in parts or not parts[0] or ":" in parts[0]


def encoding_of(member: Member) -> str:
    """UTF-8 or GB18030, as the first line says that is not plain ASCII. Raises StatementUnreadable where it is neither."""
    with member.open() as stream:
        head = stream.read(_HEAD)
    if head.startswith(b"\xef\xbb\xbf"):
        return "utf-8"
    if _BINARY.search(head[:16]):
        raise StatementUnreadable("other_format", "the file is not text")
    for line in head.split(b"\n"):
        if line.isascii():
            continue
        for encoding in ("utf-8", "gb18030"):
            try:
                line.decode(encoding)
            except UnicodeDecodeError:
                continue
            return encoding
        if len(line) < _HEAD // 2:
            break
        # Cut within a character.
        return "gb18030"
    else:
        return "utf-8"
    raise StatementUnreadable("other_format", "the file is not text in UTF-8 or GB18030")


def text_lines(member: Member) -> Iterator[tuple[int, str]]:
    """The lines that hold anything, with their numbers and without their ends; a byte order mark is dropped.

    Raises StatementUnreadable: other_format, line_too_long, encoding.
    """
    encoding = encoding_of(member)
    number = blank = 0
    try:
        with member.open() as raw, io.TextIOWrapper(raw, encoding, newline="\n") as text:
            for number, line in enumerate(
                iter(partial(text.readline, MAX_LINE), ""), 1
            ):  # told on errors
                if len(line) == MAX_LINE and line[-1] != "\n":
                    raise StatementUnreadable(
                        "line_too_long", "no bill has such lines", line=number
                    )
                line = line.rstrip("\r\n")
                if number == 1:
                    line = line.lstrip("\ufeff")
                # Spreadsheets pad with separators: such a line holds nothing either.
                if line and (line[0] not in _PADDING or line.strip(_PADDING)):
                    yield number, line
                    continue
                blank += 1
                if blank > MAX_BLANK:
                    raise StatementUnreadable("other_format", "hardly anything in it", line=number)
    except UnicodeDecodeError as error:
        place = _undecodable(member, encoding)
        raise StatementUnreadable("encoding", f"this is not {encoding}", line=place) from error


def _undecodable(member: Member, encoding: str) -> int:
    """The number of the first line that is not in the encoding."""
    with member.open() as stream:
        number = 0
        for number, line in enumerate(iter(partial(stream.readline, MAX_LINE * 4), b""), 1):
            try:
                line.decode(encoding)
            except UnicodeDecodeError:
                return number
    return number


def refuse_personal(line: str) -> None:
    """Raise StatementUnreadable when the line is from a bill for private persons, the commonest wrong upload."""
    if all(word in line for word in _PERSONAL) or any(word in line for word in _PERSONAL_TITLES):
        raise StatementUnreadable(
            "personal_bill",
            "this is the bill of a private wallet, not the merchant's bill from the merchant platform",
        )


#: What JSON or COPY would need escaped.
UNSAFE: Final = re.compile(r'["\\\x00-\x1f]')


class Headings:
    """The headings of a table: their names in order, the place of each, and rows as JSON by them."""

    __slots__ = ("names", "places", "plain", "width")

    def __init__(self, names: Sequence[str]) -> None:
        self.names = list(names)
        self.width = len(self.names)
        self.places = {name: index for index, name in enumerate(self.names) if name}
        quoted = (json.dumps(name, ensure_ascii=False).replace("%", "%%") for name in self.names)
        #: A row's JSON, once its cells are put in: for rows without anything of ``UNSAFE``.
        self.plain = "{" + ", ".join(f'{name}: "%s"' for name in quoted) + "}"

    def json(self, cells: Sequence[str], *, safe: bool) -> str:
        """The JSON of one row; ``safe``: no cell holds anything of ``UNSAFE``."""
        if safe:
            return self.plain % tuple(cells)
        return json.dumps(dict(zip(self.names, cells, strict=True)), ensure_ascii=False)


class Fen:
    """Amounts in whole fen by their text, each text read once: a day has few different ones."""

    _KEPT = 50_000

    def __init__(self, read: Callable[[str], int]) -> None:
        self._read = read
        self.known: dict[str, int] = {}

    def __call__(self, text: str) -> int:
        """The fen. Raises what reading raises."""
        found = self.known.get(text)
        if found is None:
            if len(self.known) >= self._KEPT:
                self.known.clear()
            found = self.known[text] = self._read(text)
        return found


def plain_fen(text: str) -> int | None:
    """Fen of an amount as nearly all are written, ``12.50``; None for any other text."""
    digits = text[:-3] + text[-2:]
    if text[-3:-2] == "." and digits.isdecimal() and digits.isascii() and 2 < len(digits) < 15:
        return int(digits)
    return None


#: Numbers that name something: letters, digits and what the platforms allow in them.
_NAME: Final = re.compile(r"[0-9A-Za-z_\-|*@.#:/+]*")
_EXPONENTS: Final = frozenset("Ee")
_REWRITTEN: Final = re.compile(r"-?\d(?:\.\d+)?[Ee]\+?\d+")
MAX_NAME: Final = 64


def trouble_of_name(text: str) -> str:
    """What is wrong with a number that names something, as a reason of StatementUnreadable; "" where nothing is."""
    if text.isalnum() and text.isascii() and text[1:2] not in _EXPONENTS and len(text) <= MAX_NAME:
        return ""
    if _REWRITTEN.fullmatch(text):
        return "rewritten"
    if len(text) > MAX_NAME or not _NAME.fullmatch(text):
        return "bad_row"
    return ""


def check_headings(names: Sequence[str], *, needed: Iterable[str], line: int) -> Headings:
    """The headings. Raises StatementUnreadable where one is missing or stands there twice, or where there are too many."""
    if len(names) > MAX_COLUMNS:
        raise StatementUnreadable("other_format", f"{len(names)} columns", line=line)
    for name in needed:
        if name not in names:
            raise StatementUnreadable("other_format", "a column is missing", line=line, column=name)
    for index, name in enumerate(names):
        if name and name in names[:index]:
            raise StatementUnreadable("column_twice", "two such columns", line=line, column=name)
    return Headings(names)


class Row:
    """One row for a careful look, read by heading; every complaint says where."""

    __slots__ = ("cells", "headings", "number")

    def __init__(self, headings: Headings, cells: Sequence[str], number: int) -> None:
        self.headings = headings
        self.cells = cells
        self.number = number

    def error(self, reason: str, detail: str, column: str | None) -> StatementUnreadable:
        """A complaint about this row."""
        return StatementUnreadable(reason, detail, line=self.number, column=column)

    def get(self, name: str) -> str:
        """A cell; "" where the bill has no such column."""
        place = self.headings.places.get(name)
        return "" if place is None else self.cells[place]

    def misfit(self) -> StatementUnreadable | None:
        """The complaint about a row whose cells cannot be those of the headings; None where they may be."""
        if self.repeats_headings():
            return self.error("headings_twice", "the headings once more", None)
        if len(self.cells) != self.headings.width:
            detail = f"{len(self.cells)} cells where {self.headings.width} are expected"
            return self.error("bad_row", detail, None)
        return None

    def repeats_headings(self) -> bool:
        """Whether this is the line of headings once more, as in files that were put together."""
        names = self.headings.names
        return (
            len(self.cells) > 2 and [cell.strip("\ufeff") for cell in self.cells[:2]] == names[:2]
        )

    def refuse_nul(self) -> None:
        """Raise StatementUnreadable where a cell holds a character that no bill has."""
        for name, cell in zip(self.headings.names, self.cells, strict=False):
            if "\0" in cell:
                raise self.error("bad_row", "a character that no bill has", name)

    def name(self, name: str) -> str:
        """A number that names something. Raises StatementUnreadable where a spreadsheet has rewritten it, or it is none."""
        value = self.get(name)
        trouble = trouble_of_name(value)
        if trouble:
            raise self.error(trouble, "not a number as the platform writes it", name)
        return value

    def fen(self, name: str, read: Callable[[str], int]) -> int:
        """An amount in fen by ``read``. Raises StatementUnreadable."""
        try:
            return read(self.get(name))
        except InvalidAmount as error:
            raise self.error("bad_row", str(error), name) from error

    def positive(self, name: str, read: Callable[[str], int]) -> int:
        """An amount that must not be below zero."""
        value = self.fen(name, read)
        if value < 0:
            raise self.error("bad_row", "an amount below zero", name)
        return value
