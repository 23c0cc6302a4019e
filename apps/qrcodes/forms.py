"""Forms of codes: making one, narrowing the list, choosing a file."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, cast

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from typing_extensions import override

from apps.core.money import MAX_AMOUNT_MINOR, Money
from apps.core.names import named
from apps.merchants.models import Store
from apps.qrcodes.models import ScenarioKind
from apps.qrcodes.printing import unprintable_words

_NUMBER = re.compile(r"[+\-−]?(?:\d+(?:\.\d*)?|\.\d+)", re.ASCII)
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d*)?", re.ASCII)


def read_amount(text: str) -> Money:
    """An amount to be paid, as people type it: ``12.5``, ``¥1,200``, full-width digits.

    Raises ValidationError with the sentence that fits the mistake.
    """
    plain = unicodedata.normalize("NFKC", text).strip().removeprefix("¥").strip()
    if _THOUSANDS.fullmatch(plain):
        plain = plain.replace(",", "")
    if not _NUMBER.fullmatch(plain):
        raise ValidationError(gettext("Write the amount in yuan, such as 12.50."), code="invalid")
    value = Decimal(plain.replace("−", "-"))
    if value < 0:
        raise ValidationError(gettext("An amount to be paid cannot be negative."), code="negative")
    if value == 0:
        raise ValidationError(
            gettext("Nothing can be paid with ¥0.00. The smallest amount is ¥0.01."), code="zero"
        )
    if value * 100 != int(value * 100):
        raise ValidationError(
            gettext("One fen, ¥0.01, is the smallest step: use two decimals at most."),
            code="too_fine",
        )
    if value * 100 > MAX_AMOUNT_MINOR:
        raise ValidationError(
            gettext("No payment may exceed ¥%(most)s.")
            % {"most": f"{MAX_AMOUNT_MINOR // 100:,}.00"},
            code="too_large",
        )
    return Money.from_yuan(value)


class CodeForm(forms.Form):
    """A new code."""

    # The browser must not insist on the amount while it is hidden.
    use_required_attribute = False

    store = forms.TypedChoiceField(label=_("Store"), coerce=int)
    kind = forms.ChoiceField(
        label=_("Where it hangs"), choices=ScenarioKind.choices, widget=forms.RadioSelect
    )
    name = forms.CharField(
        label=_("Name"),
        max_length=60,
        help_text=_("Such as “Table 12”. It is printed on the placard and shown to the payer."),
    )
    name_en = forms.CharField(label=_("English name"), max_length=80, required=False)
    pricing = forms.ChoiceField(
        label=_("Amount"),
        choices=[
            ("open", _("The customer types the amount")),
            ("fixed", _("Always the same amount")),
        ],
        initial="open",
        widget=forms.RadioSelect,
    )
    amount = forms.CharField(
        label=_("Fixed amount in yuan"),
        help_text=_("Only where the amount is always the same."),
        error_messages={"required": _("Enter the amount.")},
        max_length=32,
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
    )
    valid_from = forms.DateTimeField(
        label=_("Valid from"),
        required=False,
        help_text=_("China time. Left empty, it is valid at once."),
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )
    valid_until = forms.DateTimeField(
        label=_("Valid until"),
        required=False,
        help_text=_("China time. Left empty, it does not expire. It can be retired at any time."),
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        *,
        stores: Sequence[Store],
        initial: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(data, initial=initial)
        cast("forms.ChoiceField", self.fields["store"]).choices = [
            (store.pk, named(store)) for store in stores
        ]
        self.fields["amount"].required = data is None or data.get("pricing") == "fixed"

    def clean_name(self) -> str:
        """The name on one line, printable. Raises ValidationError."""
        return self._printed_line("name")

    def clean_name_en(self) -> str:
        """The English name on one line, printable. Raises ValidationError."""
        return self._printed_line("name_en")

    def _printed_line(self, field: str) -> str:
        # A code's names cannot be changed once it is made.
        line = " ".join(str(self.cleaned_data[field]).split())
        if words := unprintable_words(line):
            raise ValidationError(words, code="unprintable")
        return line

    def clean_amount(self) -> Money | None:
        """The fixed amount; nothing where the customer types it."""
        if self.cleaned_data.get("pricing") != "fixed":
            return None
        return read_amount(str(self.cleaned_data["amount"]))

    @override
    def clean(self) -> dict[str, Any]:
        """The period ends after it begins."""
        cleaned = super().clean() or self.cleaned_data
        begins, ends = cleaned.get("valid_from"), cleaned.get("valid_until")
        if begins and ends and ends <= begins:
            self.add_error(
                "valid_until", gettext("The end must come after the beginning of the period.")
            )
        return cleaned


class CodeFilterForm(forms.Form):
    """The list's filters; the address holds their values."""

    q = forms.CharField(
        label=_("Name or code number"),
        required=False,
        max_length=80,
        widget=forms.TextInput(attrs={"type": "search", "autocomplete": "off"}),
    )
    store = forms.TypedChoiceField(label=_("Store"), required=False, coerce=int, empty_value=None)
    kind = forms.ChoiceField(
        label=_("Where it hangs"),
        required=False,
        choices=[("", _("All")), *ScenarioKind.choices],
    )
    state = forms.ChoiceField(
        label=_("State"),
        required=False,
        choices=[
            ("", _("All but retired")),
            ("active", _("Active")),
            ("paused", _("Paused")),
            ("not_yet", _("Not yet valid")),
            ("expired", _("Expired")),
            ("retired", _("Retired")),
            ("all", _("All")),
        ],
    )

    def __init__(self, data: Mapping[str, Any], *, stores: Sequence[Store]) -> None:
        super().__init__(data)
        cast("forms.ChoiceField", self.fields["store"]).choices = [
            ("", gettext("All stores")),
            *((store.pk, named(store)) for store in stores),
        ]


class ArtworkForm(forms.Form):
    """Which file of a code, in which language."""

    file = forms.ChoiceField(
        choices=[("png", "PNG"), ("svg", "SVG"), ("pdf-a6", "PDF A6"), ("pdf-a4", "PDF A4")]
    )
    language = forms.ChoiceField(
        label=_("Language of the placard"),
        choices=[
            ("both", _("Chinese and English")),
            ("zh-hans", _("Chinese")),
            ("en", _("English")),
        ],
        initial="both",
    )
