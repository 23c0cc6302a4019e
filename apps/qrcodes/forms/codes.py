"""Forms of codes: making one, narrowing the list, choosing a file."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from apps.core.fields import offer
from apps.core.money import MAX_AMOUNT_MINOR, Money
from apps.core.names import named
from apps.merchants.models import Store
from apps.qrcodes.models import CodeFolder, ScenarioKind

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
            ("quiet", _("Gone quiet")),
            ("retired", _("Retired")),
            ("all", _("All")),
        ],
    )

    folder = forms.TypedChoiceField(label=_("Folder"), required=False, coerce=int, empty_value=None)
    label = forms.ChoiceField(label=_("Label"), required=False)
    #: Codes that were made together; only in addresses.
    batch = forms.IntegerField(
        label=_("Made together"), required=False, min_value=1, max_value=2**62
    )

    def __init__(
        self,
        data: Mapping[str, Any],
        *,
        stores: Sequence[Store],
        folders: Sequence[CodeFolder] = (),
        labels: Sequence[str] = (),
    ) -> None:
        super().__init__(data)
        offer(
            self,
            store=[("", gettext("All stores")), *((store.pk, named(store)) for store in stores)],
            folder=[
                ("", gettext("All folders")),
                *((folder.pk, folder.name) for folder in folders),
                (0, gettext("In no folder")),
            ],
            label=[("", gettext("All labels")), *((label, label) for label in labels)],
        )


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
