"""The form that asks for files for a print shop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from apps.core.fields import offer
from apps.qrcodes.artwork import FORMATS, Format
from apps.qrcodes.models import ArtworkDesign
from apps.qrcodes.services import PrintWish


class PrintJobForm(forms.Form):
    """Which files a print shop gets."""

    paper = forms.ChoiceField(label=_("Format"), initial="A6")
    file = forms.ChoiceField(
        label=_("Files"),
        choices=[
            ("pdf", _("One PDF for each code")),
            ("book", _("PDFs of a hundred codes, for one run of the press")),
            ("svg", _("One SVG for each code, for your own layouts")),
        ],
        initial="pdf",
        widget=forms.RadioSelect,
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
    design = forms.TypedChoiceField(label=_("Design"), required=False, coerce=int, empty_value=None)

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        *,
        designs: Sequence[ArtworkDesign],
        name_of: Any,
    ) -> None:
        default = next((one.pk for one in designs if one.is_default), "")
        super().__init__(data, initial={"design": default})
        offer(
            self,
            design=[("", gettext("Plain")), *((one.pk, one.name) for one in designs)],
            paper=[(key, _measured(name_of(form), form)) for key, form in FORMATS.items()],
        )

    def wish(self) -> PrintWish:
        """What a valid form asks for."""
        given = self.cleaned_data
        return PrintWish(
            file=given["file"],
            form=given["paper"],
            language=given["language"],
            design_id=given["design"],
        )


def _measured(name: str, form: Format) -> str:
    width, height = form.piece
    return f"{name} · {width:g} × {height:g} mm"
