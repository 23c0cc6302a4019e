"""The form of a confirmation: yes, or no with a reason, to what was shown."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from typing_extensions import override


class DecisionForm(forms.Form):
    """``digest``: SHA-256 (hex) of what the member saw. A refusal says why. ``cool`` and ``withdraw`` are the requester's."""

    decision = forms.ChoiceField(
        choices=[(wish, wish) for wish in ("approve", "refuse", "cool", "withdraw")]
    )
    digest = forms.RegexField(r"[0-9a-f]{64}")
    reason = forms.CharField(
        label=_("Why it is refused"),
        max_length=200,
        required=False,
        help_text=_("The person who asked reads it."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )

    def clean_reason(self) -> str:
        """The reason on one line."""
        return " ".join(str(self.cleaned_data["reason"]).split())

    @override
    def clean(self) -> dict[str, Any]:
        """No refusal without a reason."""
        cleaned = super().clean() or self.cleaned_data
        refused = cleaned.get("decision") == "refuse"
        if refused and not cleaned.get("reason") and "reason" not in self.errors:
            self.add_error(
                "reason", gettext("Say why, so that the person who asked can act on it.")
            )
        return cleaned
