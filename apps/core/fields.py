"""What many forms ask for: an amount in yuan, a day, one of some choices; and files that are not too large."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any, Final

from django import forms
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from typing_extensions import override

from apps.core.clock import EARLIEST, LATEST
from apps.core.money import MAX_AMOUNT_MINOR, InvalidAmount, Money

_THOUSANDS = re.compile(r"-?\d{1,3}(?:,\d{3})+(?:\.\d*)?", re.ASCII)
#: What a form adds around its file, at most.
_AROUND_A_FILE: Final = 256 * 1024


def read_yuan(text: str) -> Money:
    """Yuan as people type them: ``12.5``, ``¥1,200``, full-width digits. Raises ValidationError with a sentence."""
    plain = unicodedata.normalize("NFKC", text).strip().removeprefix("¥").strip()
    plain = plain.replace("−", "-")
    if _THOUSANDS.fullmatch(plain):
        plain = plain.replace(",", "")
    try:
        amount = Money.from_yuan(plain)
    except InvalidAmount as error:
        raise ValidationError(
            gettext("Write the amount in yuan with two decimals at most, such as 12.50."),
            code="invalid",
        ) from error
    if abs(amount.minor) > MAX_AMOUNT_MINOR:
        raise ValidationError(
            gettext("That is more than ¥%(most)s.") % {"most": f"{MAX_AMOUNT_MINOR // 100:,}.00"},
            code="too_large",
        )
    return amount


class YuanField(forms.CharField):
    """An amount in yuan; its clean value is Money, or None where nothing was typed."""

    default_error_messages = {"negative": _("Write the amount without a minus sign.")}

    def __init__(self, **options: Any) -> None:
        attrs = {"inputmode": "decimal", "autocomplete": "off"}
        super().__init__(
            **{"max_length": 32, "widget": forms.TextInput(attrs=attrs), **options},
        )

    @override
    def clean(self, value: Any) -> Any:
        """The amount. Raises ValidationError."""
        text = str(super().clean(value) or "").strip()
        if not text:
            return None
        amount = read_yuan(text)
        if amount.minor < 0:
            raise ValidationError(self.error_messages["negative"], code="negative")
        return amount


class FenField(YuanField):
    """An amount that is typed in yuan; its clean value is whole fen, or None where nothing was typed."""

    @override
    def clean(self, value: Any) -> Any:
        """Fen. Raises ValidationError."""
        amount = super().clean(value)
        return None if amount is None else amount.minor


class DayField(forms.DateField):
    """A day, chosen in the browser's own calendar. Days before 2000 and after 2099 are slips of the keyboard."""

    default_error_messages = {
        "required": _("Choose the day."),
        "invalid": _("Write the day as year-month-day, such as 2026-11-23."),
        "far": _("Choose a day between 2000 and 2099."),
    }

    def __init__(self, **options: Any) -> None:
        super().__init__(
            widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
            input_formats=["%Y-%m-%d"],
            **options,
        )

    @override
    def clean(self, value: Any) -> Any:
        """The day, None where nothing was typed. Raises ValidationError."""
        day: date | None = super().clean(value)
        if day is not None and not EARLIEST <= day <= LATEST:
            raise ValidationError(self.error_messages["far"], code="far")
        return day


def offer(form: forms.Form, **choices: Iterable[tuple[Any, Any]]) -> None:
    """Let these be chosen in the fields of these names, which are choice fields."""
    for name, values in choices.items():
        field = form.fields[name]
        if not isinstance(field, forms.ChoiceField):
            raise TypeError(f"{name} offers no choices")
        field.choices = list(values)


def usable_file(file: UploadedFile[bytes], *, limit: int, too_large: str) -> UploadedFile[bytes]:
    """An uploaded file that is neither empty nor larger than ``limit`` bytes. Raises ValidationError."""
    if not file.size:
        raise ValidationError(gettext("The file is empty."), code="empty")
    if file.size > limit:
        raise ValidationError(too_large, code="too_large")
    return file


def is_too_long(request: HttpRequest, *, limit: int) -> bool:
    """Whether a request's body is longer than a form with a file of ``limit`` bytes can be, by what its header says.

    To be asked before anything reads the body, so before the CSRF check looks for its token there.
    """
    headers: Mapping[str, Any] = request.META
    try:
        length = int(headers.get("CONTENT_LENGTH") or 0)
    except ValueError:
        length = 0
    return length > limit + _AROUND_A_FILE
