"""Bills as tables whose columns somebody named: console exports of a platform that has no bills to download. Free of Django.

Which column holds what is a mapping from our fields to the file's headings, since no such layout is documented (Shouqianba's
is UNVERIFIED) and consoles change it. A file is read whole or refused with the line and the column at fault."""

from apps.platforms.tables.bills import Reader, parse, read_rows, write
from apps.platforms.tables.cells import Sample, cells_of, clean, look, sample_cells
from apps.platforms.tables.columns import (
    DEFAULT_COLUMNS,
    FIELDS,
    NUMBERS,
    REQUIRED,
    gross_column,
    guess,
)

__all__ = [
    "DEFAULT_COLUMNS",
    "FIELDS",
    "NUMBERS",
    "REQUIRED",
    "Reader",
    "Sample",
    "cells_of",
    "clean",
    "gross_column",
    "guess",
    "look",
    "parse",
    "read_rows",
    "sample_cells",
    "write",
]
