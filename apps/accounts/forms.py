"""What a person may change about themselves."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _


class ProfileForm(forms.Form):
    """The name that colleagues see."""

    name = forms.CharField(
        label=_("Your name"),
        max_length=60,
        required=False,
        help_text=_(
            "Your team sees it beside what you do. Left empty, your e-mail address stands there."
        ),
        widget=forms.TextInput(attrs={"autocomplete": "name"}),
    )

    def clean_name(self) -> str:
        """The name on one line."""
        return " ".join(str(self.cleaned_data["name"]).split())
