"""The codes in rows, best or worst first, and by store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from apps.core.tenancy import ScopedQuerySet
from apps.merchants.models import Store
from apps.qrcodes.models import CodeState, QRCode
from apps.qrcodes.selectors import Quiet, quiet_codes
from apps.reports.selectors.code_figures import WHOLE_BP, CodeFigures, CodePeriod, figures_of

#: Rows on one page.
CODES_PAGE_SIZE: Final = 50
#: With fewer scans nobody can tell whether few pay.
WEAK_SCANS: Final = 20


@dataclass(frozen=True, slots=True)
class CodeRow:
    """A code with its figures; ``quiet`` where it has gone quiet."""

    code: QRCode
    figures: CodeFigures
    quiet: Quiet | None


@dataclass(frozen=True, slots=True)
class StoreRow:
    """What was done with codes in one store. ``store`` None: in stores that are no more in scope by name."""

    store: Store | None
    figures: CodeFigures


@dataclass(frozen=True, slots=True)
class CodesTable:
    """The codes of one page, what all of them together did, and by store.

    ``after`` is the place of the next page, "" at the end; ``count`` the codes on all pages; ``quiet_count`` the quiet ones.
    """

    rows: list[CodeRow]
    after: str
    count: int
    total: CodeFigures
    median_seconds: int | None
    stores: list[StoreRow]
    quiet_count: int


def _by_share(row: CodeRow) -> int:
    share = row.figures.paid_share_bp
    return WHOLE_BP if share is None else share


#: What each view is ordered by, ascending; equal ones by id.
_ORDERS: Final[dict[str, Callable[[CodeRow], int]]] = {
    "paid": lambda row: -row.figures.payment_minor,
    "scans": lambda row: -row.figures.scans,
    "weak": _by_share,
    "idle": lambda row: row.figures.scans,
    "quiet": lambda row: -row.quiet.silent_days if row.quiet else 0,
}


def _shown(row: CodeRow, view: str) -> bool:
    match view:
        case "weak":
            return row.figures.scans >= WEAK_SCANS
        case "idle":
            return bool(row.code.state == CodeState.ACTIVE)
        case "quiet":
            return row.quiet is not None
        case _:
            return row.code.state != CodeState.RETIRED or row.figures != CodeFigures()


def _place(row: CodeRow, view: str) -> tuple[int, int]:
    return _ORDERS[view](row), row.code.pk


def read_place(text: str) -> tuple[int, int] | None:
    """The place that an address carries (``12--500``: the id and the figure); None for what is none."""
    key, _dash, figure = text.partition("-")
    digits = figure.removeprefix("-")
    if not all(part.isascii() and part.isdecimal() and len(part) < 19 for part in (key, digits)):
        return None
    return int(figure), int(key)


def codes_table(
    period: CodePeriod,
    *,
    now: datetime,
    view: str = "paid",
    store_id: int | None = None,
    after: tuple[int, int] | None = None,
    size: int = CODES_PAGE_SIZE,
) -> CodesTable:
    """The codes of the stores in scope, or of one store, with their figures. Six statements, whatever the number of codes.

    Its figures are those of ``figures_of``; of a store also those of codes that hang elsewhere now.
    """
    figures = figures_of(period, store_id=store_id)
    by_code = figures.by_code()
    codes: ScopedQuerySet[QRCode] = QRCode.objects.visible()
    if store_id is not None:
        codes = codes.filter(store_id=store_id)
    found = list(codes.select_related("scenario", "store"))
    silent = {
        quiet.code_id: quiet for quiet in quiet_codes(now=now, day_starts_at=period.day_starts_at)
    }
    every = [
        CodeRow(code, by_code.get(code.pk, CodeFigures()), silent.get(code.pk)) for code in found
    ]
    rows = sorted((row for row in every if _shown(row, view)), key=lambda row: _place(row, view))
    count = len(rows)
    if after is not None:
        rows = [row for row in rows if _place(row, view) > after]
    more, rows = len(rows) > size, rows[:size]
    stores = {store.pk: store for store in Store.objects.visible("pk")}
    by_store = [
        StoreRow(stores.get(key) if key is not None else None, one)
        for key, one in figures.by_store().items()
    ]
    by_store.sort(key=lambda row: (-row.figures.payment_minor, -row.figures.scans))
    return CodesTable(
        rows=rows,
        after=f"{rows[-1].code.pk}-{_ORDERS[view](rows[-1])}" if more else "",
        count=count,
        total=figures.total,
        median_seconds=figures.median_seconds,
        stores=by_store,
        quiet_count=sum(1 for row in every if row.quiet is not None),
    )
