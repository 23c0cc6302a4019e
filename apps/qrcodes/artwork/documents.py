"""Printed codes as PDF, at true size: one placard or a thousand.

Everything is drawn in process colours (CMYK) with pure black for the modules, and nothing but a logo is made of pixels.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import BinaryIO, Literal

from reportlab.lib.units import mm

from apps.qrcodes.artwork.design import PLAIN, Design
from apps.qrcodes.artwork.fonts import BOLD, REGULAR, font, font_lock, require_printable, tidy
from apps.qrcodes.artwork.formats import FORMATS, Format
from apps.qrcodes.artwork.matrix import Level
from apps.qrcodes.artwork.pdf import StreamedCanvas
from apps.qrcodes.artwork.placard import Placard

Paper = Literal["A6", "A5", "A4"]

#: Width and height of the papers in mm.
PAPERS: dict[Paper, tuple[int, int]] = {"A6": (105, 148), "A5": (148, 210), "A4": (210, 297)}


def render_pdf(
    placards: Sequence[Placard] | Placard,
    *,
    paper: str = "A6",
    level: Level | None = None,
    design: Design = PLAIN,
) -> bytes:
    """A document with embedded font subsets; the same placards give the same bytes.

    ``paper`` is a key of FORMATS. One placard alone fills its page: a sheet of stickers, two tents. ``level`` replaces
    the design's. Raises UnprintableText, TextTooLong, InvalidContent, DesignRefused and, without any placard or for an
    unknown paper, ValueError. All texts are checked before the first page is drawn.
    """
    sheets = [placards] if isinstance(placards, Placard) else list(placards)
    if not sheets:
        raise ValueError("a document needs at least one placard")
    if paper not in FORMATS:
        raise ValueError(f"codes are printed on {', '.join(FORMATS)}, not on {paper!r}")
    if level is not None:
        design = dataclasses.replace(design, level=level)
    require_printable(*(text for placard in sheets for text in placard.texts))
    if isinstance(placards, Placard):
        sheets *= FORMATS[paper].pieces
    out = io.BytesIO()
    write_pdf(out, sheets, form=FORMATS[paper], design=design)
    return out.getvalue()


def write_pdf(
    out: BinaryIO, placards: Iterable[Placard], *, form: Format, design: Design = PLAIN
) -> int:
    """Write a document to ``out``, page by page as ``placards`` yields them; the number of pages.

    However many there are, one page is held at a time. What cannot be printed is found when its page comes, so whoever
    catches an error throws away what was written. Raises UnprintableText, TextTooLong, InvalidContent, DesignRefused, and
    ValueError without any placard.
    """
    pages = _in_pages(placards, form.pieces)
    first = next(pages, None)
    if first is None:
        raise ValueError("a document needs at least one placard")
    count = 0
    with font_lock:
        for name in (REGULAR, BOLD):
            font(name)
        title = first[0]
        canvas = StreamedCanvas(
            out,
            pagesize=(form.width * mm, form.height * mm),
            font=REGULAR,
            lang="en" if title.language == "en" else "zh-CN",
        )
        canvas.setTitle(title.title)
        canvas.setAuthor(tidy(title.shop_name))
        canvas.setSubject(" ".join(title.call))
        canvas.setCreator("Merchant Portal")
        canvas.setProducer("Merchant Portal")
        for page in _with_first(first, pages):
            require_printable(*(text for placard in page for text in placard.texts))
            form.page(canvas, page, design)
            canvas.showPage()
            count += 1
        canvas.save()
    return count


def _in_pages(placards: Iterable[Placard], pieces: int) -> Iterator[list[Placard]]:
    left = iter(placards)
    while page := list(islice(left, pieces)):
        yield page


def _with_first(first: list[Placard], rest: Iterator[list[Placard]]) -> Iterator[list[Placard]]:
    yield first
    yield from rest
