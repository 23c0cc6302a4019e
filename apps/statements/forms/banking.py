"""What people hand in about bank accounts: their names, their statements, the columns of these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.utils.datastructures import MultiValueDict
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from typing_extensions import override

from apps.core.fields import offer, usable_file
from apps.platforms.tables import Sample
from apps.statements import bank_tables
from apps.statements.forms.columns import ChooseForm
from apps.statements.models import BankAccount
from apps.statements.services import MOST_BYTES, too_large_words


def _usable(file: UploadedFile[bytes]) -> UploadedFile[bytes]:
    return usable_file(file, limit=MOST_BYTES, too_large=too_large_words())


class BankAccountForm(forms.Form):
    """How a bank account is called here."""

    name = forms.CharField(
        label=_("Name of the bank account"),
        max_length=60,
        help_text=_("Such as the bank and the last four digits. The full number is not needed."),
        error_messages={"required": _("Give the bank account a name.")},
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )

    def clean_name(self) -> str:
        """The name on one line."""
        return " ".join(str(self.cleaned_data["name"]).split())


class BankSampleForm(forms.Form):
    """A bank statement, of which only the beginning is looked at."""

    file = forms.FileField(
        label=_("File"),
        max_length=160,
        allow_empty_file=True,
        help_text=_(
            "Any statement of this account, saved as CSV. Only its headings and first rows are looked at; nothing is imported."
        ),
        error_messages={
            "required": _("Choose the file."),
            "max_length": _("The file's name is too long."),
        },
        widget=forms.FileInput(attrs={"accept": ".csv,.txt,.zip,.gz,text/csv"}),
    )

    def clean_file(self) -> UploadedFile[bytes]:
        """The file, if it is neither empty nor too large. Raises ValidationError."""
        return _usable(self.cleaned_data["file"])


class BankUploadForm(forms.Form):
    """A bank statement to be imported."""

    bank_account = forms.TypedChoiceField(
        label=_("Bank account"),
        coerce=int,
        error_messages={
            "required": _("Choose the bank account."),
            "invalid_choice": _("There is no such bank account."),
        },
    )
    file = forms.FileField(
        label=_("Statement"),
        max_length=160,
        allow_empty_file=True,
        help_text=_(
            "CSV as the bank gives it, in UTF-8 or GBK, also packed as zip or gzip. Periods may overlap: each movement is stored once."
        ),
        error_messages={
            "required": _("Choose the file."),
            "max_length": _("The file's name is too long."),
        },
        widget=forms.FileInput(attrs={"accept": ".csv,.txt,.zip,.gz,text/csv"}),
    )

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        files: MultiValueDict[str, UploadedFile[bytes]] | None = None,
        *,
        accounts: Sequence[BankAccount],
        initial: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(data, files, initial=initial)
        offer(self, bank_account=[(row.pk, row.name) for row in accounts])

    def clean_file(self) -> UploadedFile[bytes]:
        """The file, if it is neither empty nor too large. Raises ValidationError."""
        return _usable(self.cleaned_data["file"])


class BankChooseForm(ChooseForm):
    """For each of our fields one of the statement's columns, or none."""

    columns: ClassVar[tuple[str, ...]] = bank_tables.FIELDS
    needed: ClassVar[frozenset[str]] = bank_tables.REQUIRED
    labels: ClassVar[Mapping[str, tuple[Promise, Promise | str]]] = {
        "day": (_("Day"), _("When it was booked at the bank.")),
        "amount": (
            _("Amount in one column"),
            _("With a minus sign for money out, or beside a column that says the direction."),
        ),
        "money_in": (
            _("Money in"),
            _(
                "Credit (贷方) on a bank's statement. Leave it out where all amounts stand in one column."
            ),
        ),
        "money_out": (_("Money out"), _("Debit (借方) on a bank's statement.")),
        "direction": (
            _("Direction"),
            _("Says 借 or 贷, 收入 or 支出. Only beside amounts without a sign."),
        ),
        "counterparty": (_("Counterparty"), _("By its name a payout of a platform is known.")),
        "memo": (_("Memo"), ""),
        "reference": (
            _("The bank's own number"),
            _("Without it, two movements are the same where day, amount, balance and words are."),
        ),
        "balance": (_("Balance"), ""),
    }

    @staticmethod
    @override
    def first_guess(headings: Sequence[str]) -> dict[str, str]:
        """By the headings that banks usually have."""
        return bank_tables.guess(headings)

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        *,
        sample: Sample,
        mapping: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(data, sample=sample, mapping=mapping)
        if mapping and data is None:
            # A map in use is shown as it is: a guess beside it might contradict it.
            self.initial = {field: mapping.get(field, "") for field in self.columns}
