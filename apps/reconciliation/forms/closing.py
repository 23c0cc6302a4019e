"""Closing a business day and opening it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from apps.reconciliation.selectors import Check, Item
from apps.reconciliation.services import Tick


class CloseForm(forms.Form):
    """Closing a day: each warning of its checklist is ticked, with a reason, as it was shown."""

    def __init__(self, data: Mapping[str, Any] | None = None, *, warnings: Sequence[Check]) -> None:
        super().__init__(data)
        self.warnings = warnings
        for check in warnings:
            name = check.item.value
            self.fields[f"tick_{name}"] = forms.BooleanField(
                label=gettext("I have looked at it and close the day all the same"),
                error_messages={"required": gettext("Tick it, or settle it first.")},
            )
            self.fields[f"reason_{name}"] = forms.CharField(
                label=gettext("Why"),
                max_length=200,
                error_messages={"required": gettext("Say why; it stays with the closing.")},
            )
            self.fields[f"count_{name}"] = forms.IntegerField(
                widget=forms.HiddenInput, initial=check.count
            )

    def ticks(self) -> dict[Item, Tick]:
        """What was accepted, of a valid form."""
        given = self.cleaned_data
        return {
            check.item: Tick(given[f"reason_{check.item}"], given[f"count_{check.item}"])
            for check in self.warnings
        }


class ReopenForm(forms.Form):
    """Why a closed day is to be opened again."""

    reason = forms.CharField(
        label=_("Why must the day be opened again"),
        max_length=200,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_("The member who confirms reads it, and it stays with the closing."),
        error_messages={"required": _("Say why; the member who confirms must know.")},
    )
