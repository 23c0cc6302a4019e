"""What a handed-in paper is, judged by its content: a PDF, a JPEG or a PNG that holds nothing but pages.

A PDF may run programs, start others, carry files or be locked; a contract that somebody scans needs none of it, so such files
are refused. Whatever is let in is only ever handed out for saving, never shown by the portal.
"""

from __future__ import annotations

import io
import re
import zlib
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final

from django.db import models
from django.utils.translation import gettext as _
from PIL import Image, UnidentifiedImageError

#: Largest paper, in bytes.
MOST_BYTES: Final = 20 * 1024 * 1024
#: Most pages of a PDF, and most pixels of a picture.
MOST_PAGES: Final = 500
MOST_PIXELS: Final = 60_000_000
#: How much the packed objects of a PDF may unfold to, all together.
_MOST_UNPACKED: Final = 64 * 1024 * 1024


class PaperKind(models.TextChoices):
    """What a paper is, by its content."""

    PDF = "pdf", "PDF"
    JPEG = "jpeg", "JPEG"
    PNG = "png", "PNG"


_ENDINGS: Final = {
    ".pdf": PaperKind.PDF,
    ".jpg": PaperKind.JPEG,
    ".jpeg": PaperKind.JPEG,
    ".png": PaperKind.PNG,
}
_STARTS: Final = {
    b"%PDF-": PaperKind.PDF,
    b"\xff\xd8\xff": PaperKind.JPEG,
    b"\x89PNG\r\n\x1a\n": PaperKind.PNG,
}
#: Names of PDF objects that act, carry files or lock the document. Names may be written with #xx for any letter.
_ACTS: Final = re.compile(
    rb"/(?:JavaScript|Launch|EmbeddedFiles?|RichMedia|ImportData|SubmitForm|GoToE|Rendition)(?![A-Za-z])"
)
_LOCK: Final = re.compile(rb"/Encrypt(?![A-Za-z])")
_SCRIPT_OUTSIDE_STREAMS: Final = re.compile(rb"/(?:JS|XFA)(?![A-Za-z])")
_ESCAPED: Final = re.compile(rb"#([0-9A-Fa-f]{2})")
_STREAM: Final = re.compile(rb"stream(?:\r\n|\n|\r)")
_OBJECT: Final = re.compile(rb"(?<!\d)(\d{1,10})\s+\d{1,5}\s+obj\b")
_PAGE: Final = re.compile(rb"/Type\s*/Page(?![A-Za-z])")
_PACKED: Final = re.compile(rb"/Type\s*/ObjStm(?![A-Za-z])")
_FILTER: Final = re.compile(rb"/Filter\s*(\[[^\]]*\]|/[A-Za-z0-9]+)")
_FIRST: Final = re.compile(rb"/First\s+(\d{1,9})")


class PaperRefused(Exception):
    """The file is not kept; ``message`` says why, to people."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


@dataclass(frozen=True, slots=True)
class Paper:
    """What a file is by its content, and how many pages it has."""

    kind: PaperKind
    page_count: int


def judge_paper(content: bytes, *, filename: str, most: int | None = None) -> Paper:
    """What the file is; ``most`` is how many bytes it may have (None: ``MOST_BYTES``). Raises PaperRefused."""
    most = MOST_BYTES if most is None else most
    if not content:
        raise PaperRefused(_("The file is empty."))
    if len(content) > most:
        raise PaperRefused(too_large_words(most))
    kind = next((kind for start, kind in _STARTS.items() if content.startswith(start)), None)
    if kind is None:
        raise PaperRefused(_("Only PDF, JPEG and PNG files are kept; by its content this is none."))
    claimed = _ENDINGS.get(PurePath(filename).suffix.lower())
    if claimed is not kind:
        raise PaperRefused(
            _("By its name this file is not %(kind)s, by its content it is. It is not kept.")
            % {"kind": kind.label}
        )
    pages = _pdf_pages(content) if kind is PaperKind.PDF else _picture(content, kind)
    return Paper(kind, pages)


def too_large_words(most: int = MOST_BYTES) -> str:
    """That a file is too large, and how large it may be."""
    return _("The file is larger than %(most)d MB.") % {"most": most // (1024 * 1024)}


def _broken() -> PaperRefused:
    return PaperRefused(_("The file is damaged or not whole."))


def _picture(content: bytes, kind: PaperKind) -> int:
    ended = content.rstrip(b"\0\r\n ")
    whole = ended.endswith(b"\xff\xd9") if kind is PaperKind.JPEG else ended[-8:-4] == b"IEND"
    if not whole:
        raise _broken()
    try:
        with Image.open(io.BytesIO(content), formats=[kind.name]) as image:
            if image.width * image.height > MOST_PIXELS:
                raise PaperRefused(_("The picture has too many pixels. Save it smaller."))
            image.load()
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise _broken() from None
    return 1


def _pdf_pages(content: bytes) -> int:
    if not content.rstrip(b"\0\r\n\t ").endswith(b"%%EOF"):
        raise _broken()
    whole = _unescaped(content)
    plain, packed = _unfold(content)
    texts = [_unescaped(text) for text in (plain, *packed)]
    # The whole file as well: what hides inside a stream can still be pointed at.
    if any(_LOCK.search(text) for text in (whole, *texts)):
        raise PaperRefused(_("The PDF is locked. Save it without a password first."))
    acts = any(_ACTS.search(text) for text in (whole, *texts))
    if acts or any(_SCRIPT_OUTSIDE_STREAMS.search(text) for text in texts):
        raise PaperRefused(
            _("The PDF holds a script, a form that acts or another file. Print it to PDF anew.")
        )
    pages = _count_pages(texts[0], texts[1:])
    if pages == 0:
        raise _broken()
    if pages > MOST_PAGES:
        raise PaperRefused(_("The PDF has more than %(most)d pages.") % {"most": MOST_PAGES})
    return pages


def _unescaped(text: bytes) -> bytes:
    return _ESCAPED.sub(lambda match: bytes([int(match[1], 16)]), text)


def _unfold(content: bytes) -> tuple[bytes, list[bytes]]:
    """The file without what is in its streams, and the objects that its streams of objects hold."""
    plain: list[bytes] = []
    packed: list[bytes] = []
    room = _MOST_UNPACKED
    at = 0
    while (found := _STREAM.search(content, at)) is not None:
        head = content[at : found.start()]
        plain.append(head)
        end = content.find(b"endstream", found.end())
        if end < 0:
            raise _broken()
        described = _unescaped(head[head.rfind(b"obj") :])
        if _PACKED.search(described):
            text = _unpack(described, content[found.end() : end], room)
            room -= len(text)
            packed.append(text)
        at = end + len(b"endstream")
    plain.append(content[at:])
    return b"\n".join(plain), packed


def _unpack(described: bytes, stream: bytes, room: int) -> bytes:
    named = _FILTER.search(described)
    filters = re.findall(rb"/([A-Za-z0-9]+)", named[1]) if named else []
    if not filters:
        text = stream
    elif filters == [b"FlateDecode"] and b"/DecodeParms" not in described:
        unpacking = zlib.decompressobj()
        try:
            text = unpacking.decompress(stream, room + 1)
        except zlib.error:
            raise _broken() from None
    else:
        raise PaperRefused(_("The PDF is packed in a way that cannot be looked into."))
    if len(text) > room:
        raise PaperRefused(_("The PDF unfolds to more than can be looked through."))
    first = _FIRST.search(described)
    return text[int(first[1]) :] if first else text


def _count_pages(plain: bytes, packed: list[bytes]) -> int:
    # An object that was changed stands in the file again under its number; the last one counts.
    marks = list(_OBJECT.finditer(plain))
    ends = [mark.start() for mark in marks[1:]] + [len(plain)]
    pages = {
        mark[1]: bool(_PAGE.search(plain, mark.end(), end))
        for mark, end in zip(marks, ends, strict=True)
    }
    return sum(pages.values()) + sum(len(_PAGE.findall(text)) for text in packed)
