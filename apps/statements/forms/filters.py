"""Narrower lists of settlements and bank lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from typing_extensions import override

from apps.core.fields import DayField, offer, read_yuan
from apps.platforms.models import PlatformAccount
from apps.statements.models import BankAccount


class _DaysForm(forms.Form):
    """Days from and to; both may be open."""

    date_from = DayField(label=_("From day"), required=False)
    date_to = DayField(label=_("To day"), required=False)

    @override
    def clean(self) -> dict[str, Any]:
        """The days in order."""
        asked = super().clean() or {}
        first, last = asked.get("date_from"), asked.get("date_to")
        if first is not None and last is not None and last < first:
            self.add_error("date_to", gettext("The period ends before it begins."))
        return asked


class SettlementFilterForm(_DaysForm):
    """Which settlements are listed."""

    account = forms.TypedChoiceField(
        label=_("Account"), required=False, coerce=int, empty_value=None
    )
    show = forms.ChoiceField(
        label=_("Where it is"),
        required=False,
        choices=[
            ("", _("Everywhere")),
            ("open", _("Not at the bank")),
            ("on_its_way", _("On its way")),
            ("unseen", _("Not seen yet")),
            ("overdue", _("Overdue")),
            ("held", _("Held back")),
            ("arrived", _("Arrived")),
        ],
    )
    field_order = ["account", "show", "date_from", "date_to"]

    def __init__(self, data: Mapping[str, Any], *, accounts: Sequence[PlatformAccount]) -> None:
        super().__init__(data)
        offer(
            self,
            account=[("", gettext("All accounts")), *((row.pk, row.label) for row in accounts)],
        )


class BankFilterForm(_DaysForm):
    """Which bank lines are listed."""

    bank_account = forms.TypedChoiceField(
        label=_("Bank account"), required=False, coerce=int, empty_value=None
    )
    show = forms.ChoiceField(
        label=_("Which lines"),
        required=False,
        choices=[
            ("", _("All")),
            ("free", _("Money in that is not linked")),
            ("linked", _("Linked")),
            ("in", _("Money in")),
            ("out", _("Money out")),
        ],
    )
    text = forms.CharField(label=_("Words"), required=False, max_length=60)
    amount = forms.CharField(
        label=_("Amount"),
        required=False,
        max_length=20,
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
    )
    field_order = [
        "bank_account",
        "show",
        "date_from",
        "date_to",
        "text",
        "amount",
    ]

    def __init__(self, data: Mapping[str, Any], *, accounts: Sequence[BankAccount]) -> None:
        super().__init__(data)
        offer(
            self,
            bank_account=[("", gettext("All accounts")), *((row.pk, row.name) for row in accounts)],
        )

    def clean_amount(self) -> int | None:
        """In fen, with or without a minus sign; None where nothing was typed."""
        text = self.cleaned_data["amount"]
        return abs(read_yuan(text).minor) if text.strip() else None

    def clean_text(self) -> str:
        """Without characters that no text in the database has."""
        return str(self.cleaned_data["text"]).replace("\0", "").strip()
