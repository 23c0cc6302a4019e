"""Forms of what is done to many codes at once: acts, copies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from apps.core.fields import offer
from apps.core.names import named, one_line
from apps.merchants.models import Store
from apps.qrcodes.forms.folders import FOLDER_LENGTH, FolderField, clean_labels
from apps.qrcodes.models import ActKind, CodeFolder
from apps.qrcodes.services import Wish


class CodeActForm(forms.Form):
    """What is to be done to the chosen codes: only what its kind asks."""

    folder = FolderField(label=_("Folder"))
    new_folder = forms.CharField(
        label=_("or a new folder"), required=False, max_length=FOLDER_LENGTH
    )
    labels = forms.CharField(
        label=_("Labels"),
        help_text=_("Between commas, such as: summer, terrace"),
        max_length=400,
    )
    store = forms.TypedChoiceField(label=_("Store"), coerce=int)
    reason = forms.CharField(
        label=_("Why"),
        help_text=_("For the team, such as “Closed for the season”. Customers do not see it."),
        required=False,
        max_length=200,
    )

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        *,
        kind: ActKind,
        stores: Sequence[Store],
        folders: Sequence[CodeFolder],
    ) -> None:
        super().__init__(data)
        self._kind = kind
        offer(
            self,
            store=[(store.pk, named(store)) for store in stores],
            folder=[("", gettext("None")), *((one.pk, one.name) for one in folders)],
        )
        asked = {
            ActKind.FOLDER: {"folder", "new_folder"},
            ActKind.LABEL: {"labels"},
            ActKind.UNLABEL: {"labels"},
            ActKind.STORE: {"store"},
            ActKind.PAUSE: {"reason"},
            ActKind.RETIRE: {"reason"},
        }.get(kind, set())
        for name in set(self.fields) - asked:
            del self.fields[name]

    def clean_new_folder(self) -> str:
        """On one line."""
        return one_line(self.cleaned_data["new_folder"])

    def clean_reason(self) -> str:
        """On one line."""
        return one_line(self.cleaned_data["reason"])

    def clean_labels(self) -> tuple[str, ...]:
        """Each once. Raises ValidationError."""
        labels = clean_labels(self.cleaned_data["labels"])
        if not labels:
            raise ValidationError(gettext("Write at least one label."), code="required")
        return labels

    def wish(self) -> Wish:
        """What a valid form asks for."""
        given = self.cleaned_data
        return Wish(
            kind=self._kind,
            folder_id=given.get("folder"),
            new_folder=given.get("new_folder", ""),
            store_id=given.get("store"),
            labels=given.get("labels", ()),
            reason=given.get("reason", ""),
        )


class CopyForm(forms.Form):
    """Where the copies of the chosen codes go."""

    store = forms.TypedChoiceField(label=_("Store"), coerce=int)
    folder = FolderField(label=_("Folder"))
    new_folder = forms.CharField(
        label=_("or a new folder"), required=False, max_length=FOLDER_LENGTH
    )

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        *,
        stores: Sequence[Store],
        folders: Sequence[CodeFolder],
    ) -> None:
        super().__init__(data)
        offer(
            self,
            store=[(store.pk, named(store)) for store in stores],
            folder=[("", gettext("None")), *((one.pk, one.name) for one in folders)],
        )

    def clean_new_folder(self) -> str:
        """On one line."""
        return one_line(self.cleaned_data["new_folder"])


def cast_kind(text: str) -> ActKind | None:
    """The kind of act of this name, None for no such."""
    return ActKind(text) if text in ActKind.values else None
