"""The proof that a design scans: one code of it, harmed in every way that a wall and a phone harm codes, and read or not.

Each row of the proof is one kind of harm, each cell a degree of it, tried with several seeds. What lies within the promise must
be read; what lies beyond is shown, and proves nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import takewhile
from typing import Final

from apps.qrcodes.artwork.colours import symbol_contrast
from apps.qrcodes.artwork.design import LEAST_CONTRAST, PLAIN, SMALLEST_MODULE_MM, Design
from apps.qrcodes.artwork.formats import Format
from apps.qrcodes.artwork.matrix import QUIET_ZONE
from apps.qrcodes.artwork.placard import Placard
from apps.qrcodes.proof.damage import Harm, Subject, harmed, subject_of
from apps.qrcodes.proof.judging import reads_as

#: Tries of each cell.
SEEDS: Final = 3
#: A phone's camera while it looks for codes: pixels across a frame, and the angle that they span, in degrees.
_FRAME_PX: Final = 1920
_FIELD: Final = 65.0
#: Millimetres across one pixel, for each millimetre of distance.
_PITCH: Final = 2 * math.tan(math.radians(_FIELD / 2)) / _FRAME_PX
#: So many times what the decoder needed here is taken for safe: a hand trembles, and a cheap camera is coarser than its pixels.
_MARGIN: Final = 1.5
#: Nobody holds a phone nearer than this to a code, in mm.
NEAREST_MM: Final = 150
#: A code is looked for from at most so many times its width away: the sign makers' rule of ten to one. DENSO WAVE, who made QR
#: codes, gives no distance, only dots to a module (four and more) and leaves the rest to the camera; hence the first bound.
_REACH: Final = 10


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of harm: its degrees, and how many of them, from the first on, must be read."""

    key: str
    degrees: tuple[float, ...]
    promised: int

    def harm(self, degree: float, seed: int) -> Harm:
        """The harm of one degree. Beside it stands what every photograph has: a little blur, noise and compression.

        All at once (``together``) goes in parts of what each may be alone: 45 degrees, a module of blur, half of the correction.
        """
        values: dict[str, float] = {"px": 4.0, "blur": 0.3, "noise": 4.0}
        if self.key == "together":
            values |= {"px": 6.0, "blur": degree, "tilt": 45 * degree, "wear": degree / 2}
            values |= {"rotation": 77.0 * seed, "axis": 40.0 * seed, "contrast": 1 - degree / 2}
        else:
            values[self.key] = degree
        if self.key == "tilt":
            values["axis"] = 40.0 * seed
        return Harm(seed=seed, jpeg=80, **values)


ROWS: Final[tuple[Row, ...]] = (
    Row("px", (6, 3, 2, 1.5, 1.2, 1), 3),
    Row("blur", (0.25, 0.5, 0.75, 1.0, 1.25, 1.5), 4),
    Row("rotation", (15, 45, 90, 200), 4),
    Row("tilt", (15, 30, 45, 55, 65), 3),
    Row("contrast", (0.7, 0.5, 0.35, 0.2, 0.1), 3),
    Row("shade", (0.3, 0.5, 0.7, 0.85), 3),
    Row("noise", (10, 25, 40, 60, 90), 2),
    Row("wear", (0.25, 0.5, 0.75, 1.0), 2),
    Row("cover", (0.02, 0.05, 0.1, 0.15, 0.2), 1),
    Row("together", (0.25, 0.5, 0.75, 1.0, 1.25), 3),
)


@dataclass(frozen=True, slots=True)
class Cell:
    """How often one degree of harm was read, of how many tries; ``promised``: it must be."""

    degree: float
    read: int
    tries: int
    promised: bool

    @property
    def well(self) -> bool:
        """Whether it was read each time."""
        return self.read == self.tries


@dataclass(frozen=True, slots=True)
class Proof:
    """What became of one code. Lengths in mm, of the code with its quiet zone; ``modules`` counts that too; ``least_px`` is the
    coarsest picture, in pixels a module, up to which all were read."""

    rows: Mapping[str, tuple[Cell, ...]]
    modules: int
    contrast: float
    least_px: float

    @property
    def failed(self) -> tuple[str, ...]:
        """The kinds of harm within the promise that it was not read after."""
        return tuple(
            key
            for key, cells in self.rows.items()
            if any(cell.promised and not cell.well for cell in cells)
        )

    @property
    def scans(self) -> bool:
        """Whether it keeps the whole promise."""
        return not self.failed

    @property
    def least_module_mm(self) -> float:
        """The finest module that prints well and that a phone resolves when it is held as near as people hold it."""
        return max(SMALLEST_MODULE_MM, self.least_px * _MARGIN * NEAREST_MM * _PITCH)

    @property
    def least_width_mm(self) -> int:
        """The smallest safe width in print, in whole mm."""
        return math.ceil(round(self.modules * self.least_module_mm, 6))

    def distance_mm(self, width_mm: float) -> int:
        """From how far a code of this width is read, in mm, rounded down to whole centimetres.

        The distance at which one module covers half as many pixels again of a phone's frame as the decoder needed here, and at
        most ten times the width.
        """
        far = width_mm / self.modules / (self.least_px * _MARGIN * _PITCH)
        return int(min(far, _REACH * width_mm) // 10 * 10)

    @property
    def tries(self) -> int:
        """Photographs taken."""
        return sum(cell.tries for cells in self.rows.values() for cell in cells)

    @property
    def read(self) -> int:
        """Photographs read."""
        return sum(cell.read for cells in self.rows.values() for cell in cells)


class WouldNotScan(ValueError):
    """A code that must not be printed so. ``reasons`` are kinds of harm it is not read after, ``contrast``, or ``module``: too small
    for what ``proof`` says is safe."""

    def __init__(self, proof: Proof, reasons: tuple[str, ...]) -> None:
        self.proof = proof
        self.reasons = reasons
        super().__init__(", ".join(reasons))


def prove(subject: Subject, *, contrast: float) -> Proof:
    """Try a code in every way."""
    rows = {row.key: tuple(_try(subject, row)) for row in ROWS}
    read = [cell.degree for cell in takewhile(lambda cell: cell.well, rows["px"])]
    return Proof(
        rows=rows,
        modules=subject.size + 2 * QUIET_ZONE,
        contrast=contrast,
        least_px=min(read) if read else ROWS[0].degrees[0],
    )


def _try(subject: Subject, row: Row) -> list[Cell]:
    cells: list[Cell] = []
    for place, degree in enumerate(row.degrees):
        read = sum(
            reads_as(harmed(subject, row.harm(degree, seed)), subject.content)
            for seed in range(SEEDS)
        )
        cells.append(Cell(degree, read, SEEDS, place < row.promised))
    return cells


#: What stands in the place of a token: as long, and of the same mixture of letters and digits.
_SAMPLE: Final = "Ab3dE7xK9mQ2" * 60


def prove_design(design: Design, link: str) -> Proof:
    """The proof of the bare code of ``link`` in ``design``: of a link like it, so every code of a merchant has the same proof.

    Takes a quarter of a second, and nothing when it is asked for again. Raises DesignRefused, InvalidContent.
    """
    before, slash, token = link.rpartition("/")
    # What stands around the code does not touch it.
    bare = replace(design, accent=PLAIN.accent, language=PLAIN.language, wallet_marks=True)
    return _prove_like(bare, f"{before}{slash}{_SAMPLE[: len(token)]}")


@lru_cache(maxsize=256)
def _prove_like(design: Design, link: str) -> Proof:
    contrast = symbol_contrast(design.foreground, design.background)
    return prove(subject_of(design, link), contrast=contrast)


def forget_proofs() -> None:
    """Prove everything anew."""
    _prove_like.cache_clear()


def require_scannable(
    design: Design,
    link: str,
    form: Format | None = None,
    *,
    placard: Placard | None = None,
    width_mm: float | None = None,
) -> Proof:
    """The proof of a design that keeps the promise, on the page of ``form`` or ``width_mm`` wide with its quiet zone.

    To be asked before anything is printed; a thousand codes in one design cost as much as one. Words take room from the code:
    ``placard`` has them, without it the page is empty but for the code. Raises WouldNotScan, and what drawing would raise:
    DesignRefused, InvalidContent, TextTooLong.
    """
    proof = prove_design(design, link)
    reasons = list(proof.failed)
    if proof.contrast < LEAST_CONTRAST and "contrast" not in reasons:
        reasons.append("contrast")
    module = None if width_mm is None else width_mm / proof.modules
    if form is not None:
        empty = Placard(link=link, shop_name="", wallets=())
        module = form.module_mm(placard or empty, design)
    # A hair's breadth is the rounding of lengths, not of a printer.
    if module is not None and module < proof.least_module_mm - 0.001:
        reasons.append("module")
    if reasons:
        raise WouldNotScan(proof, tuple(reasons))
    return proof
