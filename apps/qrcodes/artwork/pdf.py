"""A PDF whose pages are written as they are drawn, so that a thousand take no more memory than one.

reportlab keeps every page until the document is saved. Here a page's content goes to the file at once and only its place is
remembered; fonts, which grow with the text, and the table of contents follow at the end.
"""

from __future__ import annotations

import zlib
from typing import Any, BinaryIO

from reportlab.pdfbase import pdfdoc
from reportlab.pdfgen.canvas import Canvas
from typing_extensions import override

#: As fast as reportlab's own level and hardly larger: a page of modules repeats itself.
_COMPRESSION = 6


class _Written(pdfdoc.PDFObject):  # type: ignore[misc]  # reportlab has no types
    """Stands for an object that is in the file already."""

    __RefOnly__ = 1


class _StreamedDocument(pdfdoc.PDFDocument):  # type: ignore[misc]  # reportlab has no types
    """Writes the content of each page as soon as it is finished."""

    def __init__(self, out: BinaryIO, **options: Any) -> None:
        super().__init__(**options)
        self._out = out
        self._at = 0
        # Four bytes beyond ASCII: programs that move files about take it for what it is.
        self._put(b"%PDF-1.4\n%\xe6\x94\xb6\xe6\n")

    def _put(self, data: bytes) -> int:
        at = self._at
        self._out.write(data)
        self._at += len(data)
        return at

    @override
    def addPage(self, page: Any) -> None:
        """Take a finished page; of what is on it only the fonts' and images' names are kept."""
        super().addPage(page)
        content = zlib.compress(page.stream.encode("latin-1"), _COMPRESSION)
        page.stream = None
        body = _Written()
        # The reference gives the object its number.
        page.Contents = self.Reference(body)
        name = page.Contents.name
        number, version = self.idToObjectNumberAndVersion[name]
        self.idToOffset[name] = self._put(
            b"%d %d obj\n<< /Filter /FlateDecode /Length %d >>\nstream\n%b\nendstream\nendobj\n"
            % (number, version, len(content), content)
        )

    @override
    def SaveToFile(self, filename: Any, canvas: Any) -> None:
        """Write what is left: fonts, images, page dictionaries, the table of places."""
        for font in self.delayedFonts:
            font.addObjects(self)
        self.info.invariant = self.invariant
        self.info.digest(self.signature)
        root, info = self.Reference(self.Catalog), self.Reference(self.info)
        self.Outlines.prepare(self, canvas)
        if self.Outlines.ready < 0:
            self.Catalog.Outlines = None
        self.encrypt.prepare(self)
        # Formatting an object may add others at the end.
        number = 1
        while number in self.numberToId:
            name = self.numberToId[number]
            thing = self.idToObject[name]
            if not isinstance(thing, _Written):
                written = pdfdoc.PDFIndirectObject(name, thing).format(self)
                self.idToOffset[name] = self._put(written)
            number += 1
        lines = [b"0000000000 65535 f \n"]
        lines += [
            b"%010d 00000 n \n" % self.idToOffset[self.numberToId[one]] for one in range(1, number)
        ]
        table = self._put(b"xref\n0 %d\n%b" % (number, b"".join(lines)))
        digest = self.signature.hexdigest().encode()
        self._put(
            b"trailer\n<< /Size %d /Root %b /Info %b /ID [<%b> <%b>] >>\nstartxref\n%d\n%%%%EOF\n"
            % (number, root.format(self), info.format(self), digest, digest, table)
        )


class StreamedCanvas(Canvas):  # type: ignore[misc]
    """A canvas in process colours that writes page by page to ``out``; the same drawing gives the same bytes."""

    def __init__(
        self, out: BinaryIO, *, pagesize: tuple[float, float], font: str, lang: str
    ) -> None:
        super().__init__(
            out,
            pagesize=pagesize,
            invariant=1,
            pageCompression=1,
            enforceColorSpace="CMYK",
            # Otherwise every page names Helvetica, which no PDF for a print shop may leave to chance.
            initialFontName=font,
            lang=lang,
        )
        self._doc = _StreamedDocument(out, compression=1, invariant=1, lang=lang)

    def emit(self, operators: str) -> None:
        """Put drawing operators on the page as they are."""
        self._code.append(operators)
