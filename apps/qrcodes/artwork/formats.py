"""The sheets that leave the printer, each in true millimetres: placards, a table tent, a badge, sticker sheets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

from reportlab.lib.units import mm

from apps.qrcodes.artwork.colours import BLACK, GREY, PALE
from apps.qrcodes.artwork.design import Design, DesignRefused
from apps.qrcodes.artwork.layouts import badge, placard, sticker
from apps.qrcodes.artwork.pdf import StreamedCanvas
from apps.qrcodes.artwork.pen import Pen
from apps.qrcodes.artwork.placard import Placard

Kind = Literal["placard", "tent", "badge", "sticker"]
Draw = Callable[[Pen, Placard], None]


@dataclass(frozen=True, slots=True)
class Cell:
    """Where one piece lies on a page: its top left corner in mm, and whether it stands on its head."""

    x: float
    y: float
    turned: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """A kind of page. ``width`` and ``height`` are the paper's, ``piece`` the finished piece's, all in mm.

    ``groups`` are the pieces on a page, each with its cells: a tent's two faces are one piece. ``cell`` is what ``draw``
    fills, in mm of paper, bleed included; ``enlargement`` is how many mm of paper one unit of the layout takes.
    """

    key: str
    kind: Kind
    width: float
    height: float
    piece: tuple[float, float]
    cell: tuple[float, float]
    groups: tuple[tuple[Cell, ...], ...]
    draw: Draw
    enlargement: float = 1.0
    bleed: float = 0.0
    round: bool = False

    @property
    def pieces(self) -> int:
        """Finished pieces on a page."""
        return len(self.groups)

    def pen(self, canvas: StreamedCanvas | None, design: Design) -> Pen:
        """A pen for one cell."""
        return Pen(canvas, design, self.cell[1] / self.enlargement, self.enlargement)

    def module_mm(self, content: Placard, design: Design) -> float:
        """The edge of one module on paper. Raises DesignRefused (too fine for print), TextTooLong, InvalidContent."""
        pen = self.pen(None, design)
        self.draw(pen, content)
        return pen.module_mm

    def page(self, canvas: StreamedCanvas, contents: Sequence[Placard], design: Design) -> None:
        """One page; ``contents`` has at most ``pieces``, the rest of the page stays blank."""
        for content, cells in zip(contents, self.groups, strict=False):
            for cell in cells:
                canvas.saveState()
                width, height = self.cell
                if cell.turned:
                    canvas.translate((cell.x + width) * mm, (self.height - cell.y) * mm)
                    canvas.rotate(180)
                else:
                    canvas.translate(cell.x * mm, (self.height - cell.y - height) * mm)
                canvas.scale(mm * self.enlargement, mm * self.enlargement)
                self.draw(self.pen(canvas, design), content)
                canvas.restoreState()
        if self.kind in ("tent", "sticker"):
            canvas.saveState()
            canvas.scale(mm, mm)
            self.marks(Pen(canvas, design, self.height))
            if self.kind == "sticker":
                self._side_ruler(canvas, design, contents[0])
            canvas.restoreState()

    def marks(self, pen: Pen) -> None:
        """What a cutter goes by, on the whole page."""
        if self.kind == "tent":
            self._fold_and_cut(pen)
        elif self.kind == "sticker":
            self._crop_marks(pen)

    def _fold_and_cut(self, pen: Pen) -> None:
        fold, cut = self.height / 2, self.width / 2
        pen.line(0, fold, self.width, fold, colour=PALE, width=0.2, dash=(2, 1.5))
        pen.line(cut, 0, cut, self.height, colour=GREY, width=0.2)

    def _crop_marks(self, pen: Pen) -> None:
        """Marks at the edges of the sheet, on each line along which a cutter goes. They end 1 mm before the bleed."""
        cells = [cells[0] for cells in self.groups]
        size = self.cell[0]
        left, right = min(cell.x for cell in cells), max(cell.x for cell in cells) + size
        top, bottom = min(cell.y for cell in cells), max(cell.y for cell in cells) + size
        for x in sorted({cell.x for cell in cells}):
            for cut in (x + self.bleed, x + size - self.bleed):
                pen.line(cut, top - 5, cut, top - 1, colour=BLACK, width=0.1)
                pen.line(cut, bottom + 1, cut, bottom + 5, colour=BLACK, width=0.1)
        for y in sorted({cell.y for cell in cells}):
            for cut in (y + self.bleed, y + size - self.bleed):
                pen.line(left - 5, cut, left - 1, cut, colour=BLACK, width=0.1)
                pen.line(right + 1, cut, right + 5, cut, colour=BLACK, width=0.1)

    def _side_ruler(self, canvas: StreamedCanvas, design: Design, content: Placard) -> None:
        """The 50 mm line, along the left edge of the sheet."""
        canvas.saveState()
        canvas.translate(6.5, self.height / 2 - 25)
        canvas.rotate(90)
        Pen(canvas, design, 0).ruler(0, 0, content.ruler_note)
        canvas.restoreState()


def _placard_format(key: str, width: float, height: float) -> Format:
    return Format(
        key=key,
        kind="placard",
        width=width,
        height=height,
        piece=(width, height),
        cell=(width, height),
        groups=((Cell(0, 0),),),
        draw=placard.draw,
        enlargement=width / placard.WIDTH,
    )


def _tent() -> Format:
    """Two tents side by side on A4, cut apart and folded in the middle: the upper faces stand on their heads."""
    width, height = 105.0, 148.5
    return Format(
        key="tent",
        kind="tent",
        width=210,
        height=297,
        piece=(width, height),
        cell=(width, height),
        groups=tuple((Cell(x, height), Cell(x, 0, turned=True)) for x in (0.0, width)),
        draw=placard.draw,
    )


def _badge() -> Format:
    size = (badge.WIDTH, badge.HEIGHT)
    return Format(
        key="badge",
        kind="badge",
        width=badge.WIDTH,
        height=badge.HEIGHT,
        piece=size,
        cell=size,
        groups=((Cell(0, 0),),),
        draw=badge.draw,
    )


def _stickers(edge: float, columns: int, rows: int, *, is_round: bool) -> Format:
    """A sheet of A4 with as many as fit with their bleed and the crop marks around them."""
    cell = edge + 2 * sticker.BLEED
    left, top = (210 - columns * cell) / 2, (297 - rows * cell) / 2
    layout = sticker.draw_round if is_round else sticker.draw_square
    return Format(
        key=f"{'round' if is_round else 'square'}-{edge:.0f}",
        kind="sticker",
        width=210,
        height=297,
        piece=(edge, edge),
        cell=(cell, cell),
        groups=tuple(
            (Cell(left + column * cell, top + row * cell),)
            for row in range(rows)
            for column in range(columns)
        ),
        draw=partial(layout, edge=edge),
        bleed=sticker.BLEED,
        round=is_round,
    )


#: Every kind of page that can be printed, by its key.
FORMATS: Final[dict[str, Format]] = {
    one.key: one
    for one in (
        _placard_format("A6", 105, 148),
        _placard_format("A5", 148, 210),
        _placard_format("A4", 210, 297),
        _tent(),
        _badge(),
        _stickers(50, 3, 5, is_round=False),
        _stickers(50, 3, 5, is_round=True),
        _stickers(40, 4, 6, is_round=False),
        _stickers(40, 4, 6, is_round=True),
        _stickers(30, 5, 7, is_round=False),
    )
}


def format_of(key: str) -> Format:
    """The format of this key. Raises DesignRefused."""
    try:
        return FORMATS[key]
    except KeyError as error:
        raise DesignRefused("format", "unknown_format") from error
