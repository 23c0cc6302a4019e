"""Why a bank statement or its column map cannot be used, in one sentence, with the place in the file where it is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.platforms.gateway import StatementUnreadable

_REASONS: Final[Mapping[str, Promise]] = {
    "other_format": gettext_lazy(
        "This is not a table with the headings of this bank's column map. Save the statement as CSV, or choose the columns anew."
    ),
    "column_missing": gettext_lazy("The statement has no such column. Choose the columns anew."),
    "column_twice": gettext_lazy(
        "The statement has this column twice, so it is not clear which one holds it."
    ),
    "truncated": gettext_lazy("The file is empty or its end is missing. Download it again."),
    "too_large": gettext_lazy("The file is too large. Export a shorter period."),
    "unknown_word": gettext_lazy("It is not clear whether this row is money in or money out."),
}
_DETAILS: Final[Mapping[str, Promise]] = {
    "not a day": gettext_lazy("This is not a day such as 2026-11-24."),
    "not an amount in yuan": gettext_lazy(
        "This is not an amount in yuan with two decimals at most."
    ),
    "the amount is missing": gettext_lazy("The amount is missing."),
    "both in and out": gettext_lazy("The row has money in and money out at once."),
    "a spreadsheet has rewritten this number": gettext_lazy(
        "A spreadsheet has shortened this number. Upload the file as the bank gave it."
    ),
    "cells are missing": gettext_lazy("The row has fewer cells than the headings."),
}
_BAD_ROW: Final = gettext_lazy("The row cannot be read.")
_MAPPING: Final[Mapping[str, Promise]] = {
    "missing": gettext_lazy("Choose the column that holds this."),
    "either": gettext_lazy(
        "Choose either one column of amounts, or one for money in and one for money out."
    ),
    "no_amount": gettext_lazy(
        "Choose the column of amounts, or the columns of money in and money out."
    ),
    "twice": gettext_lazy("This column is chosen for something else already."),
}


def unreadable_words(error: StatementUnreadable) -> str:
    """One sentence for a refused statement."""
    words = str(_REASONS.get(error.reason) or _DETAILS.get(error.detail) or _BAD_ROW)
    if error.line is None:
        return words
    if error.column is None:
        return _("Line %(line)d: %(words)s") % {"line": error.line, "words": words}
    return _("Line %(line)d, column “%(column)s”: %(words)s") % {
        "line": error.line,
        "column": error.column[:60],
        "words": words,
    }


def mapping_words(why: str) -> str:
    """One sentence for a column map that cannot be used."""
    return str(_MAPPING[why])
