"""The look at an alert."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _

from apps.core.names import one_line


class LookForm(forms.Form):
    """What a member found."""

    note = forms.CharField(
        label=_("What did you find?"),
        required=False,
        max_length=200,
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        help_text=_("For the members, such as “sticker replaced” or “a tour group came by”."),
    )

    def clean_note(self) -> str:
        """The note on one line."""
        return one_line(self.cleaned_data["note"])
