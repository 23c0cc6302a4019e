"""Placards as PDF, one a page, at true size.

Everything is drawn in process colours (CMYK) with pure black for the modules: four inks that are off by a hair would
blur them. The design is made for A6 and enlarged for A4; only the 50 mm line at the foot is never enlarged.
Lengths are millimetres of the A6 design, measured from the top left corner.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from reportlab.lib.colors import CMYKColor
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas

from apps.qrcodes.artwork.fitting import Fitted, fit
from apps.qrcodes.artwork.fonts import (
    BOLD,
    REGULAR,
    font,
    font_lock,
    measure,
    require_printable,
    tidy,
)
from apps.qrcodes.artwork.matrix import QUIET_ZONE, InvalidContent, Level, modules, runs
from apps.qrcodes.artwork.placard import WALLET_MARKS, Placard, WalletMark

Paper = Literal["A6", "A4"]

#: Width and height of the papers in mm.
PAPERS: dict[Paper, tuple[int, int]] = {"A6": (105, 148), "A4": (210, 297)}

#: Finer modules run together on an office printer.
SMALLEST_MODULE_MM = 0.4

_DESIGN_WIDTH = 105.0
_MARGIN = 6.5
_INNER = _DESIGN_WIDTH - 2 * _MARGIN
_MIDDLE = _DESIGN_WIDTH / 2
_LEADING = 1.22
#: Where the letters of a line end and its baseline lies, as parts of the size, for Chinese and capitals alike.
_ASCENT = 0.88

_BLACK = CMYKColor(0, 0, 0, 1)
_GREY = CMYKColor(0, 0, 0, 0.62)
_PALE = CMYKColor(0, 0, 0, 0.22)
_WHITE = CMYKColor(0, 0, 0, 0)


def render_pdf(
    placards: Sequence[Placard] | Placard, *, paper: Paper = "A6", level: Level = "M"
) -> bytes:
    """One page a placard, with embedded font subsets; the same placards give the same bytes.

    Raises UnprintableText, TextTooLong, InvalidContent (a link too long for the paper) and, without any placard or for an unknown paper, ValueError. All texts are
    checked before the first page is drawn.
    """
    sheets = [placards] if isinstance(placards, Placard) else list(placards)
    if not sheets:
        raise ValueError("a document needs at least one placard")
    if paper not in PAPERS:
        raise ValueError(f"placards are made for {', '.join(PAPERS)}, not {paper!r}")
    require_printable(*(text for placard in sheets for text in placard.texts))
    width, height = PAPERS[paper]
    out = io.BytesIO()
    with font_lock:
        for name in (REGULAR, BOLD):
            font(name)
        canvas = Canvas(
            out,
            pagesize=(width * mm, height * mm),
            invariant=1,
            pageCompression=1,
            enforceColorSpace="CMYK",
            # Otherwise every page names Helvetica, which no PDF for a print shop may leave to chance.
            initialFontName=REGULAR,
            lang="en" if sheets[0].language == "en" else "zh-CN",
        )
        canvas.setTitle(sheets[0].title)
        canvas.setAuthor(tidy(sheets[0].shop_name))
        canvas.setSubject(" ".join(sheets[0].call))
        canvas.setCreator("Merchant Portal")
        canvas.setProducer("Merchant Portal")
        for placard in sheets:
            _Page(canvas, placard, enlargement=width / _DESIGN_WIDTH, height=height).draw(level)
            canvas.showPage()
        canvas.save()
    return out.getvalue()


def cmyk(colour: str) -> CMYKColor:
    """Process colours for "#RRGGBB", with as much black ink as possible, so that greys stay neutral."""
    red, green, blue = _rgb(colour)
    black = 1 - max(red, green, blue)
    if black == 1:
        return _BLACK
    cyan, magenta, yellow = (
        round((1 - part - black) / (1 - black), 4) for part in (red, green, blue)
    )
    return CMYKColor(cyan, magenta, yellow, round(black, 4))


def _rgb(colour: str) -> tuple[float, float, float]:
    return (int(colour[1:3], 16) / 255, int(colour[3:5], 16) / 255, int(colour[5:7], 16) / 255)


def luminance(colour: str) -> float:
    """Relative luminance of "#RRGGBB", 0 (black) to 1 (white), as WCAG 2 defines it."""
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in _rgb(colour)
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@dataclass(slots=True)
class _Page:
    """One placard on one page. ``height`` is the paper's, in mm."""

    canvas: Canvas
    placard: Placard
    enlargement: float
    height: float

    def draw(self, level: Level) -> None:
        self.canvas.saveState()
        self.canvas.scale(mm * self.enlargement, mm * self.enlargement)
        top = self._header(_MARGIN)
        bottom = self._foot(self.height / self.enlargement - _MARGIN)
        bottom = self._wallets(bottom - 3.2)
        bottom = self._invitation(bottom - 3.4)
        self._code(top + 3, bottom - 2.4, level)
        self.canvas.restoreState()

    # --- pieces, each returns the edge it leaves to the next ---

    def _header(self, top: float) -> float:
        """The coloured field with shop and store, and the scenario's label on its lower edge."""
        accent = self.placard.accent
        # The better of black and white letters has a contrast of at least 4.5 on any colour.
        light = luminance(accent)
        ink = _WHITE if 1.05 / (light + 0.05) >= (light + 0.05) / 0.05 else _BLACK
        shop = fit(
            tidy(self.placard.shop_name),
            width=_INNER - 10,
            size=10,
            smallest=4.2,
            lines=3,
            font=BOLD,
        )
        store = fit(
            tidy(self.placard.store_name),
            width=_INNER - 10,
            size=4.8,
            smallest=3,
            lines=2,
            font=REGULAR,
        )
        scenario = fit(
            tidy(self.placard.scenario), width=_INNER - 26, size=6, smallest=3.4, lines=2, font=BOLD
        )
        label_height = _height(scenario) + 3 if scenario.lines else 0
        field = (
            4.5
            + _height(shop)
            + (1 + _height(store) if store.lines else 0)
            + 3.5
            + label_height / 2
        )
        self.canvas.setFillColor(cmyk(accent))
        self.canvas.setStrokeColor(_PALE)
        self.canvas.setLineWidth(0.25)
        pale = light > 0.8
        self._box(_MARGIN, top, _INNER, field, radius=3.5, stroke=pale)
        y = self._lines(shop, BOLD, top + 4.5, ink)
        if store.lines:
            y = self._lines(store, REGULAR, y + 1, ink)
        if not scenario.lines:
            return top + field
        widest = max(measure(line, BOLD) for line in scenario.lines) * scenario.size
        label = max(widest + 11, 34)
        edge = top + field - label_height / 2
        self.canvas.setFillColor(_WHITE)
        self.canvas.setStrokeColor(_GREY if pale else cmyk(accent))
        self.canvas.setLineWidth(0.7)
        self._box(
            _MIDDLE - label / 2,
            edge,
            label,
            label_height,
            radius=min(label_height / 2, 4.6),
            stroke=True,
        )
        self._lines(scenario, BOLD, edge + 1.5, _BLACK)
        return edge + label_height

    def _code(self, top: float, bottom: float, level: Level) -> None:
        """The code in the middle of what is left, in a thin frame outside its quiet zone."""
        matrix = modules(self.placard.link, level)
        count = len(matrix) + 2 * QUIET_ZONE
        edge = min(bottom - top, 72.0)
        left, upper = _MIDDLE - edge / 2, top + (bottom - top - edge) / 2
        self.canvas.setFillColor(_WHITE)
        self.canvas.setStrokeColor(_PALE)
        self.canvas.setLineWidth(0.3)
        self._box(left, upper, edge, edge, radius=2.2, stroke=True)
        # So far inside, the frame's round corners stay out of the quiet zone too.
        inset = 0.9
        module = (edge - 2 * inset) / count
        if module * self.enlargement < SMALLEST_MODULE_MM:
            raise InvalidContent(
                "the link is too long for this paper: its modules would be too fine"
            )
        self.canvas.saveState()
        self.canvas.translate(left + inset, self._up(upper + inset))
        # From here one unit is one module and y runs downwards, so the path holds whole numbers only.
        self.canvas.scale(module, -module)
        path = self.canvas.beginPath()
        for x, y, length in runs(matrix):
            path.rect(x + QUIET_ZONE, y + QUIET_ZONE, length, 1)
        self.canvas.setFillColor(_BLACK)
        self.canvas.drawPath(path, stroke=0, fill=1)
        self.canvas.restoreState()

    def _invitation(self, bottom: float) -> float:
        """The invitation to scan and, above it, the fixed price."""
        words = self.placard.call
        sizes = (6.4, 4.8)[: len(words)]
        fonts = (BOLD, REGULAR)[: len(words)]
        gap = 2.4
        widths = [measure(w, f) * s for w, s, f in zip(words, sizes, fonts, strict=True)]
        x = _MIDDLE - (sum(widths) + gap * (len(words) - 1)) / 2
        baseline = bottom - 1
        self.canvas.setFillColor(_BLACK)
        for word, size, name, width in zip(words, sizes, fonts, widths, strict=True):
            self._text(x, baseline, word, name, size)
            x += width + gap
        top = baseline - sizes[0] * _ASCENT
        if self.placard.price:
            price = fit(self.placard.price, width=_INNER, size=10.5, smallest=4, lines=1, font=BOLD)
            top -= _height(price) + 0.9
            self._lines(price, BOLD, top, _BLACK)
        return top

    def _wallets(self, bottom: float) -> float:
        """The wallets' names, white on their own colour: three in a row take no height from the code."""
        marks = [WALLET_MARKS[wallet] for wallet in self.placard.wallets]
        columns = 3 if len(marks) % 3 == 0 else 2
        rows = [marks[start : start + columns] for start in range(0, len(marks), columns)]
        height, gap = 8.0, 3.0 if columns == 2 else 2.0
        width = (_INNER - gap * (columns - 1)) / columns

        def label(mark: WalletMark, size: float) -> Fitted:
            words = mark.label(self.placard.language)
            room = width - (5 if columns == 2 else 2)
            return fit(words, width=room, size=size, smallest=2, lines=1, font=BOLD)

        # The longest name decides for all: none of them shouts.
        size = min((label(mark, 4).size for mark in marks), default=4)
        top = bottom - len(rows) * (height + gap) + gap if rows else bottom
        for index, row in enumerate(rows):
            y = top + index * (height + gap)
            x = _MIDDLE - (width * len(row) + gap * (len(row) - 1)) / 2
            for mark in row:
                name = label(mark, size)
                self.canvas.setFillColor(CMYKColor(*mark.inks))
                self._box(x, y, width, height, radius=2.2, stroke=False)
                self._lines(
                    name, BOLD, y + (height - _height(name)) / 2, _WHITE, middle=x + width / 2
                )
                x += width + gap
        return top

    def _foot(self, bottom: float) -> float:
        """A line of 50 true millimetres on the left, the reference on the right."""
        unit = 1 / self.enlargement  # one millimetre of paper
        left, right = _MARGIN + 0.5 * unit, _DESIGN_WIDTH - _MARGIN
        canvas = self.canvas
        canvas.setStrokeColor(_GREY)
        canvas.setFillColor(_GREY)
        canvas.setLineWidth(0.2 * unit)
        y = bottom - 0.4 * unit
        canvas.line(left, self._up(y), left + 50 * unit, self._up(y))
        for tick in range(0, 51, 5):
            length = 3.2 if tick in (0, 50) else 1.7 if tick % 10 == 0 else 1.0
            x = left + tick * unit
            canvas.line(x, self._up(y), x, self._up(y - length * unit))
        note = fit(
            self.placard.ruler_note,
            width=48 * unit,
            size=2.1 * unit,
            smallest=1.2 * unit,
            lines=1,
            font=REGULAR,
        )
        self._text(left + 1 * unit, y - 2.6 * unit, note.lines[0], REGULAR, note.size)
        reference = tidy(self.placard.reference)
        if reference:
            room = right - left - 54 * unit
            fitted = fit(
                reference,
                width=room,
                size=3.2 * unit**0.5,
                smallest=1.6 * unit,
                lines=1,
                font=REGULAR,
            )
            width = measure(reference, REGULAR) * fitted.size
            self._text(right - width, y, reference, REGULAR, fitted.size)
        return bottom - 5.2 * unit

    # --- strokes ---

    def _up(self, y: float) -> float:
        """reportlab counts from the bottom."""
        return self.height / self.enlargement - y

    def _box(
        self, x: float, y: float, width: float, height: float, *, radius: float, stroke: bool
    ) -> None:
        self.canvas.roundRect(
            x, self._up(y + height), width, height, radius, stroke=int(stroke), fill=1
        )

    def _text(self, x: float, baseline: float, text: str, name: str, size: float) -> None:
        self.canvas.setFont(name, size)
        self.canvas.drawString(x, self._up(baseline), text)

    def _lines(
        self, fitted: Fitted, name: str, top: float, colour: CMYKColor, *, middle: float = _MIDDLE
    ) -> float:
        """Centre the lines on ``middle``; return where they end."""
        self.canvas.setFillColor(colour)
        for line in fitted.lines:
            # Half the leading goes above the letters.
            baseline = top + fitted.size * (_ASCENT + (_LEADING - 1) / 2)
            self._text(
                middle - measure(line, name) * fitted.size / 2, baseline, line, name, fitted.size
            )
            top += fitted.size * _LEADING
        return top


def _height(fitted: Fitted) -> float:
    return len(fitted.lines) * fitted.size * _LEADING
