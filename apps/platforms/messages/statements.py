"""Why a bill cannot be read: reasons of ``StatementUnreadable``."""

from __future__ import annotations

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

REASONS: dict[str, Promise] = {
    "other_day": _("This file is of another day. Choose the bill of the day you want to import."),
    "other_account": _(
        "This file belongs to another merchant account. Choose the account it belongs to."
    ),
    "other_format": _(
        "This file is not the bill that is expected here. Download the CSV or zip of the right kind from the platform, and do not open and save it in a spreadsheet."
    ),
    "truncated": _("The file is incomplete: its end is missing. Download it again."),
    "too_large": _("The file is too large."),
    "bad_row": _(
        "A row of the file cannot be read, so nothing was imported. Download the file again, and do not edit it."
    ),
    "totals": _(
        "The rows do not add up to the file's own totals, so nothing was imported. Download the file again, and do not edit it."
    ),
    "column_missing": _(
        "This column is not in the file. Choose the account's columns anew from this file, or export it with this column."
    ),
    "column_twice": _(
        "Two columns of the file have this heading, so it is not clear which one counts."
    ),
    "unknown_word": _(
        "The portal does not know this word, so it cannot tell whether money moved, and nothing was imported. If the file lists only what succeeded, leave this column out of the account's columns."
    ),
    "rewritten": _(
        "A spreadsheet has rewritten this number (such as 4.2E+27), so its last digits are lost. Download the file again, and do not open and save it in a spreadsheet."
    ),
    "encoding": _(
        "This line is in another encoding than the lines before it: pieces of different files were put together. Download the file again."
    ),
    "line_too_long": _(
        "This line is longer than any line of a bill. Perhaps a quotation mark in it is never closed. Download the file again."
    ),
    "headings_twice": _(
        "The headings stand here once more: several bills were put together. Import each bill by itself."
    ),
    "number_twice": _(
        "This number stands in two rows, and the platform gives each only once. Download the file again, and do not edit it."
    ),
    "zip_path": _(
        "The zip file names files outside itself, which no platform does. Download the bill again from the platform."
    ),
    "personal_bill": _(
        "This is the bill of a private wallet. The portal needs the merchant's bill from the merchant platform."
    ),
}
