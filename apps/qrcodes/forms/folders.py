"""Forms of folders and labels: naming a folder, filing a code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from apps.core.fields import offer
from apps.core.names import one_line
from apps.qrcodes.batches import (
    Flaw,
    label_flaw,
    read_labels,
)
from apps.qrcodes.bulkwords import flaw_sentence
from apps.qrcodes.models import CodeFolder

FOLDER_LENGTH: Final = 60


class FolderField(forms.TypedChoiceField):
    """A folder to choose; ``clean`` gives its id, or None for none."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"required": False, "coerce": int, "empty_value": None, **options})


class FolderForm(forms.Form):
    """A folder's name."""

    name = forms.CharField(label=_("Name"), max_length=FOLDER_LENGTH)

    def clean_name(self) -> str:
        """On one line. Raises ValidationError."""
        name = one_line(self.cleaned_data["name"])
        if not name:
            raise ValidationError(gettext("This field is required."), code="required")
        return name


class FilingForm(forms.Form):
    """One code's folder and labels."""

    folder = FolderField(label=_("Folder"))
    labels = forms.CharField(
        label=_("Labels"),
        help_text=_("Between commas, such as: summer, terrace"),
        required=False,
        max_length=400,
    )

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        *,
        folders: Sequence[CodeFolder],
        initial: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(data, initial=dict(initial or {}))
        offer(self, folder=[("", gettext("None")), *((one.pk, one.name) for one in folders)])

    def clean_labels(self) -> tuple[str, ...]:
        """Each once. Raises ValidationError."""
        return clean_labels(self.cleaned_data["labels"])


def clean_labels(text: str) -> tuple[str, ...]:
    """The labels of a form's field. Raises ValidationError."""
    labels = read_labels(text)
    if reason := label_flaw(labels):
        raise ValidationError(flaw_sentence(Flaw(0, "labels", reason)), code=reason)
    return labels
