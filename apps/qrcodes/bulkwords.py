"""Many codes at once, in words: what is wrong in a row, why a code was not drawn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from apps.qrcodes.batches import (
    LABEL_LENGTH,
    MOST_BYTES,
    MOST_CODES,
    MOST_LABELS,
    FileRefused,
    Flaw,
)
from apps.qrcodes.models import PrintJob
from apps.qrcodes.printing import missing_words, too_long_words
from apps.qrcodes.services import kept_bytes
from apps.qrcodes.wording import terms_sentence


def field_name(field: str) -> str:
    """A column or field of a batch in words; "" for the whole row."""
    return {
        "name": _("Name"),
        "name_en": _("English name"),
        "amount": _("Amount"),
        "labels": _("Labels"),
        "numbers": _("Which numbers"),
        "number": _("Table number"),
        "details": _("Particulars"),
    }.get(field, "")


def flaw_sentence(flaw: Flaw) -> str:
    """What is wrong in a row, and what to do."""
    value = flaw.value
    match flaw.field, flaw.reason:
        case _field, "said":
            return value
        case "name", "missing":
            return _("This row has neither a name nor a number.")
        case "labels", "too_long":
            return _("A label has at most %(most)d characters.") % {"most": LABEL_LENGTH}
        case "labels", "too_many":
            return _("A code has at most %(most)d labels.") % {"most": MOST_LABELS}
        case "numbers", "missing":
            return _("Write which numbers, such as 1-20 or A01-A08, B1.")
        case "numbers", "backwards":
            return _("“%(value)s” runs backwards. Write the smaller number first.") % {
                "value": value
            }
        case "numbers", "ends_differ":
            return _("The two ends of “%(value)s” do not begin alike. Write A1-A8, or A1-8.") % {
                "value": value
            }
        case "numbers", "twice":
            return _("%(value)s is named twice.") % {"value": value}
        case "name", "twice":
            return _("Row %(other)d has the name “%(value)s” already.") % {
                "other": flaw.other,
                "value": value,
            }
        case "name", "exists":
            return _(
                "%(value)s: this store has a code of this name. Rename it, or leave out what is there already."
            ) % {"value": value}
        case _field, "too_many":
            return _("At most %(most)s codes are made at once. Make the rest after these.") % {
                "most": f"{MOST_CODES:,}"
            }
        case _field, "unknown_column":
            return _("No column is called “%(value)s”. Take it out, or rename it.") % {
                "value": value
            }
        case _field, "column_twice":
            return _("The column “%(value)s” is there twice.") % {"value": value}
        case _field, "no_name_column":
            return _(
                "The first line must name the columns, and one must be called name or number. Take the empty table as a beginning."
            )
        case _field, "too_many_cells":
            return _("The row has %(value)s cells, more than the first line names.") % {
                "value": value
            }
        case _field, "unreadable":
            return _("The row cannot be read: a quotation mark is not closed, or a cell is huge.")
        case _field, "no_rows":
            return _("There is no row under the first line.")
        case _field, "unprintable":
            return missing_words(value.split())
        case _field, "too_long_to_print":
            return too_long_words(value)
        case _other:
            return terms_sentence(flaw.field, flaw.reason)


def file_sentence(refused: FileRefused) -> str:
    """Why an upload is no table."""
    match refused.reason:
        case "empty":
            return _("The file is empty.")
        case "too_large":
            return _("The file is larger than %(most)d MB. Split it.") % {
                "most": MOST_BYTES // 1_000_000
            }
        case "workbook":
            return _("This is an Excel workbook. Save it as CSV (UTF-8) and upload that.")
        case "binary":
            return _("This is not a text file. Save the table as CSV and upload that.")
        case _other:
            return _(
                "The characters of this file cannot be read. Save it as CSV in UTF-8 or GB18030."
            )


def refused_sentence(field: str, reason: str) -> str:
    """Why an act or a print job cannot be begun."""
    match field, reason:
        case _field, "jobs":
            return _("Five print jobs are being drawn already. Wait for one to end.")
        case "codes", "missing":
            return _("Choose codes first.")
        case "labels", "missing":
            return _("Write at least one label.")
        case "folder", "too_many":
            return _("There are 200 folders already. Delete one that is empty.")
        case "labels", _reason:
            return flaw_sentence(Flaw(0, "labels", reason))
        case _field, "too_many":
            return _("At most %(most)s codes at once. Choose fewer.") % {"most": f"{MOST_CODES:,}"}
        case _other:
            return terms_sentence(field, reason)


def undrawn(job: PrintJob) -> list[dict[str, Any]]:
    """The codes that were not drawn: ``{"code", "name", "words"}``."""
    return [
        {"code": one["code"], "name": one["name"], "words": _undrawn(one["why"], one["facts"])}
        for one in job.problems
    ]


def _undrawn(why: str, facts: Mapping[str, str]) -> str:
    match why:
        case "too_large":
            return _(
                "The files would take more than %(most)s MB, together with what else is being drawn. Print fewer codes at once, or choose PDFs of a hundred codes."
            ) % {"most": kept_bytes() // 1024 // 1024}
        case "unprintable":
            return missing_words(facts["characters"])
        case "too_long":
            return too_long_words(facts["text"])
        case "would_not_scan":
            return _(
                "In this design and size it would not scan reliably. Its studio page shows why; take another design or a larger format."
            )
        case "design":
            return _(
                "The design was changed or deleted while this was drawn. Begin again, so that all look alike."
            )
        case _gone:
            return _("The code is not there any more.")
