"""Bill files as people and platforms hand them over: packed or not, in any of the usual encodings. Free of Django.

Everything is read as a stream and bounded, since a file may come from an upload.
"""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any

from apps.platforms.gateway import StatementUnreadable

#: The most bytes a bill may have when unpacked.
MAX_UNPACKED = 512 * 1024 * 1024
MAX_MEMBERS = 50

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


def members(content: bytes, *, limit: int = MAX_UNPACKED) -> list[Member]:
    """The files in ``content``: a zip's members, or the one file that is plain or gzip.

    Names inside a zip are read as GBK where the archive does not say UTF-8 (Alipay's habit). Raises
    StatementUnreadable: truncated, too_large, other_format.
    """
    if content[:2] == _GZIP:
        return [Member("", lambda: _stream(gzip.GzipFile(fileobj=io.BytesIO(content)), limit))]
    if content[:2] == _ZIP:
        return _zip_members(content, limit)
    if len(content) > limit:
        raise StatementUnreadable("too_large", "the file is too large")
    if content[:5] == b"%PDF-" or content[:8] == b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1":
        raise StatementUnreadable("other_format", "a PDF or Excel file, not the CSV bill")
    return [Member("", lambda: _stream(io.BytesIO(content), limit))]


def _stream(source: IO[bytes] | gzip.GzipFile, limit: int) -> IO[bytes]:
    return io.BufferedReader(_Bounded(source, limit), 1 << 16)  # type: ignore[arg-type]


def _zip_members(content: bytes, limit: int) -> list[Member]:
    try:
        archive = zipfile.ZipFile(io.BytesIO(content))
    except (zipfile.BadZipFile, ValueError, OSError) as error:
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


def text_lines(member: Member, encoding: str) -> Iterator[str]:
    """The lines of a member without their line ends; a byte order mark is dropped. Raises UnicodeDecodeError."""
    with member.open() as raw, io.TextIOWrapper(raw, encoding=encoding, newline="\n") as text:
        for number, line in enumerate(text):
            if number == 0:
                line = line.lstrip("\ufeff")
            yield line.rstrip("\r\n")


#: Tried in this order: Chinese text in GB18030 is hardly ever valid UTF-8, while everything is valid GB18030.
ENCODINGS = ("utf-8", "gb18030")


def refuse_personal(line: str) -> None:
    """Raise StatementUnreadable when the line is from a bill for private persons, the commonest wrong upload."""
    if all(word in line for word in _PERSONAL) or any(word in line for word in _PERSONAL_TITLES):
        raise StatementUnreadable(
            "personal_bill",
            "this is the bill of a private wallet, not the merchant's bill from the merchant platform",
        )


class Cells(Mapping[str, str]):
    """One row as it stands in the file, by heading; cut up only when somebody looks."""

    __slots__ = ("_cells", "_headings", "_row", "_split")

    def __init__(
        self, headings: Mapping[str, int], row: str, split: Callable[[str], list[str]]
    ) -> None:
        self._headings = headings
        self._row = row
        self._split = split
        self._cells: list[str] | None = None

    def __getitem__(self, heading: str) -> str:
        if self._cells is None:
            self._cells = self._split(self._row)
        return self._cells[self._headings[heading]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._headings)

    def __len__(self) -> int:
        return len(self._headings)

    def __repr__(self) -> str:
        return f"Cells({dict(self)!r})"
