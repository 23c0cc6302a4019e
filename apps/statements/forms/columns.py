"""The beginning of a file that people hand in, and which of its columns holds what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from django import forms
from django.core import signing
from django.core.files.uploadedfile import UploadedFile
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from apps.core.fields import usable_file
from apps.platforms.tables import FIELDS, REQUIRED, Sample, guess
from apps.statements.services import max_bytes, too_large_sentence

_SALT: Final = "statements.columns"
#: How long the beginning of a file may wait in a page, in seconds.
_SAMPLE_AGE: Final = 3600
_WIDEST: Final = 100
_LONGEST_CELL: Final = 200

#: What each column holds, and what happens without it.
LABELS: Final[Mapping[str, tuple[Promise, Promise | str]]] = {
    "at": (_("Time of the payment or refund"), _("China time.")),
    "amount": (_("Amount"), _("In yuan. A minus sign marks a refund.")),
    "order_no": (
        _("Our number"),
        _("The merchant's order number, by which a row is found in your books."),
    ),
    "trade_no": (_("The platform's number"), ""),
    "kind": (
        _("Payment or refund"),
        _("Without it, an amount below zero is a refund and any other a payment."),
    ),
    "refund_no": (
        _("Our refund number"),
        _("Without it, a refund is found by its payment and amount."),
    ),
    "refund_trade_no": (_("The platform's refund number"), ""),
    "fee": (_("Fee"), _("Without it, fees are not compared.")),
    "status": (_("State"), _("Without it, every row counts as done.")),
    "product": (_("Way of payment"), ""),
}


def seal_sample(sample: Sample) -> str:
    """A sample as a signed text that travels in the page, so that nothing of the file is kept before it is imported."""
    content = [
        sample.line,
        [cell[:_LONGEST_CELL] for cell in sample.headings[:_WIDEST]],
        [[n, [cell[:_LONGEST_CELL] for cell in cells[:_WIDEST]]] for n, cells in sample.rows],
    ]
    return signing.dumps(content, salt=_SALT, compress=True)


def open_sample(text: str) -> Sample | None:
    """The sample behind a signed text; None for one that is forged or too old."""
    try:
        line, headings, rows = signing.loads(text, salt=_SALT, max_age=_SAMPLE_AGE)
    except signing.BadSignature:
        return None
    return Sample(tuple(headings), line, tuple((n, tuple(cells)) for n, cells in rows))


def usable_bill(file: UploadedFile[bytes]) -> UploadedFile[bytes]:
    """An uploaded bill that is neither empty nor too large. Raises ValidationError."""
    return usable_file(file, limit=max_bytes(), too_large=too_large_sentence())


class SampleForm(forms.Form):
    """A console export, of which only the beginning is looked at."""

    file = forms.FileField(
        label=_("File"),
        max_length=160,
        allow_empty_file=True,
        help_text=_(
            "Any export of transactions from the platform's console, saved as CSV. Only its headings and first rows are looked at; nothing is imported."
        ),
        error_messages={
            "required": _("Choose the file."),
            "max_length": _("The file's name is too long."),
        },
        widget=forms.FileInput(attrs={"accept": ".csv,.txt,.zip,.gz,text/csv"}),
    )

    def clean_file(self) -> UploadedFile[bytes]:
        """The file, if it is neither empty nor too large. Raises ValidationError."""
        return usable_bill(self.cleaned_data["file"])


class ChooseForm(forms.Form):
    """For each of our fields one of the file's columns, or none."""

    #: Our fields, those that must be chosen, and their words; a form of other tables has its own.
    columns: ClassVar[tuple[str, ...]] = FIELDS
    needed: ClassVar[frozenset[str]] = REQUIRED
    labels: ClassVar[Mapping[str, tuple[Promise, Promise | str]]] = LABELS

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        *,
        sample: Sample,
        mapping: Mapping[str, str] | None = None,
    ) -> None:
        headings = [heading for heading in sample.headings if heading]
        first = self.first_guess(headings)
        kept = {field: name for field, name in (mapping or {}).items() if name in headings}
        super().__init__(data, initial={**first, **kept})
        for field in self.columns:
            label, hint = self.labels[field]
            none = gettext("Choose …") if field in self.needed else gettext("Not in the file")
            self.fields[field] = forms.ChoiceField(
                label=str(label),
                help_text=str(hint),
                required=field in self.needed,
                choices=[("", none), *((heading, heading) for heading in headings)],
                error_messages={
                    "required": gettext("Choose the column that holds this."),
                    "invalid_choice": gettext("The file has no such column."),
                },
            )

    @staticmethod
    def first_guess(headings: Sequence[str]) -> dict[str, str]:
        """A first map for these headings."""
        return guess(headings)

    @classmethod
    def named(cls, mapping: Mapping[str, str]) -> list[tuple[Promise, str]]:
        """A stored column map for showing: what a column holds, and its heading."""
        return [
            (cls.labels[field][0], mapping[field]) for field in cls.columns if mapping.get(field)
        ]

    def mapping(self) -> dict[str, str]:
        """The chosen columns, without those left out."""
        return {field: name for field in self.columns if (name := self.cleaned_data.get(field))}
