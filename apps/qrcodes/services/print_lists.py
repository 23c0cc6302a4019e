"""The list in a ZIP for a print shop: what lies in which file."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Final

from django.utils.translation import gettext, override

from apps.core.sheets import no_formula
from apps.qrcodes.models import PrintJob, QRCode
from apps.qrcodes.selectors import link_of

#: The same whoever asked: a print shop finds it by either word.
LIST_NAME: Final = "list_清单.csv"


def listing(job: PrintJob, names: Mapping[int, str], *, book: int) -> bytes:
    """What lies in which file, for whoever checks the prints, headed in the language of whoever asked.

    ``names``: each file's name by the place of its first code. UTF-8 with a mark, so that Excel reads it.
    """
    undrawn = {one["code"] for one in job.problems}
    codes = QRCode.objects.filter(pk__in=job.code_ids).select_related("scenario", "store")
    by_id = {code.pk: code for code in codes}
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    with override(job.spoken):
        writer.writerow(_heading())
    for place, code_id in enumerate(job.code_ids):
        code = by_id.get(code_id)
        if code is None or code_id in undrawn:
            continue
        name = names.get(place - place % book if job.file == "book" else place, "")
        words = (code.store.name, code.scenario.name, code.scenario.name_en)
        writer.writerow([place + 1, name, *map(no_formula, words), code.token, link_of(code)])
    return out.getvalue().encode("utf-8-sig")


def _heading() -> list[str]:
    return [
        gettext("No."),
        gettext("File"),
        gettext("Store"),
        gettext("Name"),
        gettext("English name"),
        gettext("Code number"),
        gettext("Link"),
    ]
