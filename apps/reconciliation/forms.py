"""What people hand in: a bill file, a day to fetch, a word on a difference, a narrower list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.utils.datastructures import MultiValueDict
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from apps.platforms.gateway import StatementKind
from apps.platforms.models import PlatformAccount
from apps.statements.forms import usable_file

NOTE_LENGTH: Final = 300


class _DayForm(forms.Form):
    """An account and a day that is over."""

    account = forms.TypedChoiceField(
        label=_("Account"),
        coerce=int,
        error_messages={
            "required": _("Choose the account."),
            "invalid_choice": _("There is no such account."),
        },
    )
    day = forms.DateField(
        label=_("Day of the bill"),
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        input_formats=["%Y-%m-%d"],
        error_messages={
            "required": _("Choose the day."),
            "invalid": _("Write the day as year-month-day, such as 2026-11-23."),
        },
    )

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        files: MultiValueDict[str, UploadedFile[bytes]] | None = None,
        *,
        accounts: Sequence[PlatformAccount],
        yesterday: date,
        initial: dict[str, Any] | None = None,
        prefix: str | None = None,
    ) -> None:
        super().__init__(
            data,
            files,
            initial={"day": yesterday, **(initial or {})},
            auto_id=f"id_{prefix or ''}%s",
        )
        account = self.fields["account"]
        assert isinstance(account, forms.TypedChoiceField)  # noqa: S101  # declared above
        choices = [(row.pk, f"{row.label} · {row.merchant_no}") for row in accounts]
        account.choices = choices if len(choices) == 1 else [("", gettext("Choose …")), *choices]
        self.fields["day"].widget.attrs["max"] = yesterday.isoformat()


class UploadForm(_DayForm):
    """A bill file as downloaded from the platform's console."""

    kind = forms.ChoiceField(
        label=_("Kind of bill"),
        choices=[
            (StatementKind.TRADE.value, _("Trade bill: each payment and refund")),
            (StatementKind.FUND.value, _("Fund bill: each movement of the balance")),
        ],
        initial=StatementKind.TRADE.value,
        widget=forms.RadioSelect,
        help_text=_("Matching needs the trade bill. A fund bill is kept beside it."),
    )
    file = forms.FileField(
        label=_("File"),
        max_length=160,
        allow_empty_file=True,
        help_text=_(
            "As downloaded from the platform: CSV, gzip or zip, of UnionPay also the ZM file alone, up to 64 MB. Do not open and save it in a spreadsheet before."
        ),
        error_messages={
            "required": _("Choose the file."),
            "max_length": _("The file's name is too long."),
        },
        # UnionPay's ZM files have no ending, so the chooser must not narrow by it.
        widget=forms.FileInput(),
    )

    def clean_file(self) -> UploadedFile[bytes]:
        """The file, if it is neither empty nor too large. Raises ValidationError."""
        return usable_file(self.cleaned_data["file"])


class FetchForm(_DayForm):
    """A bill to be fetched from the platform now: the trade bill, unless a row's button names another kind."""

    kind = forms.ChoiceField(
        required=False,
        choices=[(kind.value, kind.value) for kind in StatementKind],
        widget=forms.HiddenInput,
    )

    def clean_kind(self) -> StatementKind:
        """The kind; the trade bill where none is named."""
        return StatementKind(self.cleaned_data["kind"] or StatementKind.TRADE.value)


class ResolveForm(forms.Form):
    """What became of a difference."""

    note = forms.CharField(
        label=_("What it was, or what was done"),
        max_length=NOTE_LENGTH,
        error_messages={
            "required": _("Write what it was, so that it can be understood later."),
            "max_length": _("The note is too long: 300 characters at most."),
        },
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )


class FilterForm(forms.Form):
    """Which days the list shows."""

    account = forms.TypedChoiceField(
        label=_("Account"), coerce=int, required=False, empty_value=None
    )
    show = forms.ChoiceField(
        label=_("Days"),
        required=False,
        choices=[
            ("", _("All days")),
            ("open", _("With open differences")),
            ("waiting", _("Without a bill yet")),
        ],
    )

    def __init__(
        self, data: Mapping[str, Any] | None = None, *, accounts: Sequence[PlatformAccount]
    ) -> None:
        super().__init__(data)
        field = self.fields["account"]
        assert isinstance(field, forms.TypedChoiceField)  # noqa: S101  # declared above
        field.choices = [("", gettext("All accounts")), *((row.pk, row.label) for row in accounts)]
