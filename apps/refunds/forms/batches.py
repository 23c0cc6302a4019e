"""Choosing what a batch of refunds takes, how much of each, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from apps.core.fields import DayField, FenField, offer
from apps.core.names import named
from apps.merchants.models import Store
from apps.platforms.models import PlatformChoice
from apps.qrcodes.models import QRCode, ScenarioKind
from apps.refunds.forms.refunds import REASON_LENGTH
from apps.refunds.models import ReasonCode, ShareKind
from apps.refunds.selectors import BatchWish

_HUNDRED_PERCENT: Final = 10_000


class BatchForm(forms.Form):
    """The payments by what they have in common, the part of each, the reason. The address holds the values."""

    code = forms.TypedChoiceField(
        label=_("Payment code"), required=False, coerce=int, empty_value=None
    )
    code_kind = forms.ChoiceField(
        label=_("Kind of code"),
        required=False,
        choices=[("", _("All")), *ScenarioKind.choices],
    )
    store = forms.TypedChoiceField(label=_("Store"), required=False, coerce=int, empty_value=None)
    platform = forms.ChoiceField(label=_("Platform"), required=False)
    date_from = DayField(label=_("From (business day)"), required=False)
    date_to = DayField(label=_("To (business day)"), required=False)
    amount_min = FenField(label=_("Amount from (¥)"), required=False, max_length=20)
    amount_max = FenField(label=_("Amount to (¥)"), required=False, max_length=20)
    share_kind = forms.ChoiceField(
        label=_("How much goes back"),
        choices=ShareKind.choices,
        widget=forms.RadioSelect,
    )
    percent = forms.CharField(
        label=_("Percent of what was paid"),
        required=False,
        max_length=8,
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
    )
    fixed = FenField(label=_("Amount of each (¥)"), required=False, max_length=20)
    reason_code = forms.ChoiceField(
        label=_("Kind of reason"),
        required=False,
        choices=[("", _("Choose one, if one fits")), *ReasonCode.choices],
        help_text=_("The refund rules may go by it."),
    )
    reason = forms.CharField(
        label=_("Reason"),
        max_length=REASON_LENGTH,
        help_text=_("The customers may see it at the platform. 80 characters at most."),
        error_messages={"required": _("Say why, so that it can be understood later.")},
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )

    #: What narrows the choice.
    FILTERS: Final = (
        "code",
        "code_kind",
        "store",
        "platform",
        "date_from",
        "date_to",
        "amount_min",
        "amount_max",
    )

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        *,
        initial: Mapping[str, Any] | None = None,
        codes: Sequence[QRCode],
        stores: Sequence[Store],
        platforms: Sequence[str],
    ) -> None:
        super().__init__(data, initial=dict(initial or {}))
        offer(
            self,
            code=[
                ("", gettext("All")),
                *((code.pk, f"{named(code.scenario)} · {named(code.store)}") for code in codes),
            ],
            store=[("", gettext("All stores")), *((one.pk, named(one)) for one in stores)],
            platform=[
                ("", gettext("All")),
                *(choice for choice in PlatformChoice.choices if choice[0] in platforms),
            ],
        )

    def clean_reason(self) -> str:
        """The reason on one line."""
        return " ".join(str(self.cleaned_data["reason"]).split())

    def clean_percent(self) -> int | None:
        """Hundredths of a percent, or None where nothing was typed. Raises ValidationError."""
        text = str(self.cleaned_data["percent"]).strip().rstrip("%％").strip()
        if not text:
            return None
        value = Decimal(0)
        with suppress(InvalidOperation):
            value = Decimal(text) * 100
        whole = value.is_finite() and value == value.to_integral_value()
        if not whole or not 0 < value <= _HUNDRED_PERCENT:
            raise ValidationError(
                gettext(
                    "Write a percentage from 0.01 to 100 with two decimals at most, such as 50."
                )
            )
        return int(value)

    def clean(self) -> dict[str, Any]:
        """That the period and the amounts run forward, that something narrows the choice, and that the part is named."""
        data: dict[str, Any] = super().clean() or {}
        first, last = data.get("date_from"), data.get("date_to")
        if first and last and first > last:
            self.add_error("date_to", gettext("The last day is before the first."))
        least, most = data.get("amount_min"), data.get("amount_max")
        if least is not None and most is not None and least > most:
            self.add_error("amount_max", gettext("The largest amount is below the smallest."))
        kind = data.get("share_kind") or ShareKind.WHOLE
        if (
            kind == ShareKind.PERCENT
            and data.get("percent") is None
            and "percent" not in self.errors
        ):
            self.add_error("percent", gettext("Say how many percent."))
        if kind == ShareKind.FIXED and not data.get("fixed") and "fixed" not in self.errors:
            self.add_error("fixed", gettext("Say how much goes back of each payment."))
        if not self.errors and not self.wish().narrows:
            raise ValidationError(
                gettext(
                    "Narrow it down: choose a code, a store, a period or an amount. Refunding everything ever paid is surely not meant."
                )
            )
        return data

    def wish(self) -> BatchWish:
        """What was typed, for ``selectors.preview``; call it on a valid form."""
        data = self.cleaned_data
        kind = data.get("share_kind") or ShareKind.WHOLE.value
        values = {ShareKind.PERCENT: data.get("percent"), ShareKind.FIXED: data.get("fixed")}
        return BatchWish(
            share_kind=kind,
            share_value=values.get(ShareKind(kind)) or 0,
            reason=data.get("reason", ""),
            reason_code=data.get("reason_code", ""),
            code_id=data.get("code"),
            code_kind=data.get("code_kind", ""),
            store_id=data.get("store"),
            platform=data.get("platform", ""),
            date_from=data.get("date_from"),
            date_to=data.get("date_to"),
            amount_min=data.get("amount_min"),
            amount_max=data.get("amount_max"),
        )
