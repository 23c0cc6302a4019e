"""The strokes that all printed layouts are made of.

A layout measures from the top left corner of its own sheet, in its own unit: a millimetre of the design, which an enlarged
sheet prints larger. Without a canvas nothing is drawn and everything is measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from reportlab.lib.colors import CMYKColor
from reportlab.lib.utils import ImageReader

from apps.qrcodes.artwork.colours import BLACK, GREY, WHITE, cmyk, luminance
from apps.qrcodes.artwork.design import SMALLEST_MODULE_MM, Design, DesignRefused, logo_box
from apps.qrcodes.artwork.fitting import Fitted, fit
from apps.qrcodes.artwork.fonts import BOLD, REGULAR, measure
from apps.qrcodes.artwork.logos import in_inks, on_ground
from apps.qrcodes.artwork.matrix import QUIET_ZONE, Matrix
from apps.qrcodes.artwork.pdf import StreamedCanvas
from apps.qrcodes.artwork.placard import WALLET_MARKS, Placard
from apps.qrcodes.artwork.shapes import pdf_path

LEADING: Final = 1.22
#: Where the letters of a line end and its baseline lies, as parts of the size, for Chinese and capitals alike.
ASCENT: Final = 0.88


def ink_on(accent: str) -> CMYKColor:
    """Black or white letters, whichever reads better: its contrast is at least 4.5 on any colour."""
    light = luminance(accent)
    return WHITE if 1.05 / (light + 0.05) >= (light + 0.05) / 0.05 else BLACK


def height_of(fitted: Fitted) -> float:
    """What the lines take from top to bottom."""
    return len(fitted.lines) * fitted.size * LEADING


@dataclass(slots=True)
class Pen:
    """Draws on a sheet that is ``height`` units high, each of ``unit_mm`` millimetres of paper."""

    canvas: StreamedCanvas | None
    design: Design
    height: float
    unit_mm: float = 1.0
    #: What ``code`` drew last: one module in millimetres of paper.
    module_mm: float = 0.0

    def up(self, y: float) -> float:
        """reportlab counts from the bottom."""
        return self.height - y

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        *,
        fill: CMYKColor | None,
        radius: float = 0,
        stroke: CMYKColor | None = None,
        line: float = 0.25,
    ) -> None:
        """A rectangle, its corners round by ``radius``."""
        if self.canvas is None:
            return
        if fill is not None:
            self.canvas.setFillColor(fill)
        if stroke is not None:
            self.canvas.setStrokeColor(stroke)
            self.canvas.setLineWidth(line)
        options = {"stroke": int(stroke is not None), "fill": int(fill is not None)}
        if radius:
            self.canvas.roundRect(x, self.up(y + height), width, height, radius, **options)
        else:
            self.canvas.rect(x, self.up(y + height), width, height, **options)

    def disc(self, x: float, y: float, radius: float, *, fill: CMYKColor) -> None:
        """A filled circle about ``(x, y)``."""
        if self.canvas is not None:
            self.canvas.setFillColor(fill)
            self.canvas.circle(x, self.up(y), radius, stroke=0, fill=1)

    def line(
        self,
        x1: float,
        y1: float,
        x2: float,
        y2: float,
        *,
        colour: CMYKColor,
        width: float,
        dash: tuple[float, float] | None = None,
    ) -> None:
        """A straight line, dashed by ``dash`` (drawn, left out)."""
        if self.canvas is None:
            return
        self.canvas.setStrokeColor(colour)
        self.canvas.setLineWidth(width)
        if dash:
            self.canvas.setDash(*dash)
        self.canvas.line(x1, self.up(y1), x2, self.up(y2))
        if dash:
            self.canvas.setDash()

    def text(
        self, x: float, baseline: float, text: str, font: str, size: float, *, colour: CMYKColor
    ) -> None:
        """One line of text that begins at ``x``."""
        if self.canvas is not None:
            self.canvas.setFillColor(colour)
            self.canvas.setFont(font, size)
            self.canvas.drawString(x, self.up(baseline), text)

    def lines(
        self, fitted: Fitted, font: str, top: float, *, colour: CMYKColor, middle: float
    ) -> float:
        """The lines, each centred on ``middle``; the edge below them."""
        for words in fitted.lines:
            # Half the leading goes above the letters.
            baseline = top + fitted.size * (ASCENT + (LEADING - 1) / 2)
            half = measure(words, font) * fitted.size / 2
            self.text(middle - half, baseline, words, font, fitted.size, colour=colour)
            top += fitted.size * LEADING
        return top

    def code(self, link: str, left: float, top: float, edge: float) -> None:
        """The code with its quiet zone in a square of ``edge``, on the design's own ground.

        Raises DesignRefused (modules too fine for print, or a logo too large for this link) and InvalidContent.
        """
        design = self.design
        matrix = design.matrix(link)
        count = len(matrix) + 2 * QUIET_ZONE
        module = edge / count
        self.module_mm = module * self.unit_mm
        if self.module_mm < SMALLEST_MODULE_MM:
            raise DesignRefused("format", "module_too_fine", module_mm=self.module_mm)
        self.ink_code(matrix, left, top, module)

    def ink_code(self, matrix: Matrix, left: float, top: float, module: float) -> None:
        """Draw the modules, their ground and the logo; ``module`` is the edge of one."""
        canvas, design = self.canvas, self.design
        if canvas is None:
            return
        count = len(matrix) + 2 * QUIET_ZONE
        canvas.saveState()
        canvas.translate(left, self.up(top))
        # From here one unit is one module and y runs downwards, so square paths hold whole numbers only.
        canvas.scale(module, -module)
        if design.background.upper() != "#FFFFFF":
            canvas.setFillColor(cmyk(design.background))
            canvas.rect(0, 0, count, count, stroke=0, fill=1)
        canvas.setFillColor(cmyk(design.foreground))
        canvas.emit(f"n {pdf_path(matrix, border=QUIET_ZONE, shape=design.shape)} f")
        patch = design.patch(len(matrix))
        if design.logo is not None:
            start = (count - patch) / 2
            canvas.setFillColor(cmyk(design.background))
            canvas.rect(start, start, patch, patch, stroke=0, fill=1)
            width, height = logo_box(design.logo, patch)
            canvas.translate(count / 2 - width / 2, count / 2 + height / 2)
            canvas.scale(1, -1)
            image = ImageReader(in_inks(on_ground(design.logo, design.background)))
            canvas.drawImage(image, 0, 0, width, height)
        canvas.restoreState()

    def ruler(self, left: float, y: float, note: str) -> None:
        """A line of 50 true millimetres with its base at ``y``, and what it is for."""
        unit = 1 / self.unit_mm  # one millimetre of paper
        self.line(left, y, left + 50 * unit, y, colour=GREY, width=0.2 * unit)
        for tick in range(0, 51, 5):
            length = 3.2 if tick in (0, 50) else 1.7 if tick % 10 == 0 else 1.0
            x = left + tick * unit
            self.line(x, y, x, y - length * unit, colour=GREY, width=0.2 * unit)
        words = fit(
            note,
            width=48 * unit,
            size=2.1 * unit,
            smallest=1.2 * unit,
            lines=1,
            font=REGULAR,
        )
        self.text(left + unit, y - 2.6 * unit, words.lines[0], REGULAR, words.size, colour=GREY)

    def wallets(
        self,
        placard: Placard,
        *,
        left: float,
        width: float,
        bottom: float,
        height: float,
        gap: float,
        size: float,
        radius: float,
        columns: int,
    ) -> float:
        """The wallets' names, white on their own colour, in rows that end at ``bottom``; the edge above them."""
        marks = [WALLET_MARKS[wallet] for wallet in placard.wallets]
        if not marks:
            return bottom
        rows = [marks[start : start + columns] for start in range(0, len(marks), columns)]
        each = (width - gap * (columns - 1)) / columns
        labels = [
            fit(
                mark.label(placard.language),
                width=each * (0.9 if columns == 2 else 0.94),
                size=size,
                smallest=size * 0.4,
                lines=1,
                font=BOLD,
            )
            for mark in marks
        ]
        # The longest name decides for all: none of them shouts.
        size = min(label.size for label in labels)
        top = bottom - len(rows) * (height + gap) + gap
        for number, row in enumerate(rows):
            y = top + number * (height + gap)
            x = left + (width - (each * len(row) + gap * (len(row) - 1))) / 2
            for mark in row:
                self.box(x, y, each, height, fill=CMYKColor(*mark.inks), radius=radius)
                name = Fitted(size, (mark.label(placard.language),))
                self.lines(
                    name,
                    BOLD,
                    y + (height - height_of(name)) / 2,
                    colour=WHITE,
                    middle=x + each / 2,
                )
                x += each + gap
        return top
