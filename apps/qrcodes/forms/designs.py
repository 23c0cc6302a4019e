"""How codes look: the choices of a design, a logo to be uploaded, a file to be printed."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.utils.datastructures import MultiValueDict
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from typing_extensions import override

from apps.core.fields import offer
from apps.qrcodes.artwork import (
    FORMATS,
    Design,
    DesignRefused,
    Logo,
    LogoRefused,
    read_logo,
)
from apps.qrcodes.artwork.images import PICTURE_DPI, PICTURE_MM
from apps.qrcodes.artwork.logos import MAX_KEPT_BYTES, MAX_LOGO_BYTES
from apps.qrcodes.models import ArtworkDesign
from apps.qrcodes.refusals import design_sentence, logo_sentence

#: A kept logo as text in a hidden field.
_MOST_KEPT: Final = MAX_KEPT_BYTES * 4 // 3 + 4
#: What a body may hold: the upload, the kept logo, and the rest of the form.
MOST_BODY: Final = MAX_LOGO_BYTES + _MOST_KEPT

LOOK_FIELDS: Final = (
    "level",
    "shape",
    "foreground",
    "background",
    "accent",
    "logo_percent",
    "language",
    "wallet_marks",
)


def _colour_field(label: Any) -> forms.CharField:
    return forms.CharField(
        label=label,
        max_length=7,
        widget=forms.TextInput(attrs={"type": "color", "class": "colour-field"}),
        error_messages={"max_length": _("Write the colour as # and six digits, such as #206BC4.")},
    )


def look_values(design: Design | ArtworkDesign) -> dict[str, Any]:
    """What the fields of ``LookForm`` show for a design, also for a stored one that may not be drawn any more."""
    return {field: getattr(design, field) for field in LOOK_FIELDS}


class LookForm(forms.Form):
    """The choices of a design. After cleaning, ``look`` is what they come to; None where they do not go together."""

    use_required_attribute = False

    level = forms.ChoiceField(
        label=_("Error correction"),
        choices=[
            ("L", _("L: repairs 7 percent, largest modules")),
            ("M", _("M: repairs 15 percent, for clean places")),
            ("Q", _("Q: repairs 25 percent, for tables and hands")),
            ("H", _("H: repairs 30 percent, for logos and outdoors")),
        ],
    )
    shape = forms.ChoiceField(
        label=_("Modules"),
        choices=[("square", _("Square")), ("rounded", _("Rounded"))],
        widget=forms.RadioSelect,
    )
    foreground = _colour_field(_("Colour of the code"))
    background = _colour_field(_("Background of the code"))
    accent = _colour_field(_("Colour of the shop's field"))
    logo_percent = forms.IntegerField(
        label=_("Width of the logo in percent of the code"),
        min_value=10,
        max_value=30,
        widget=forms.NumberInput(attrs={"min": 10, "max": 30, "step": 1}),
        error_messages={
            "min_value": _("A logo takes 10 to 30 percent of the code's width."),
            "max_value": _("A logo takes 10 to 30 percent of the code's width."),
        },
    )
    language = forms.ChoiceField(
        label=_("Language of the placard"),
        choices=[
            ("both", _("Chinese and English")),
            ("zh-hans", _("Chinese")),
            ("en", _("English")),
        ],
        widget=forms.RadioSelect,
    )
    wallet_marks = forms.BooleanField(label=_("Name the wallets"), required=False)

    #: Where the logo comes from differs; the subclasses say.
    look: Design | None = None

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        files: MultiValueDict[str, UploadedFile[bytes]] | None = None,
        *,
        link: str,
        initial: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(data, files, initial=initial)
        self._link = link

    def chosen_logo(self) -> Logo | None:
        """The logo that goes with the choices."""
        return None

    @override
    def clean(self) -> dict[str, Any]:
        """The choices together, tried on a real link."""
        cleaned = super().clean() or self.cleaned_data
        if self.errors:
            return cleaned
        values = {field: cleaned[field] for field in LOOK_FIELDS}
        for colour in ("foreground", "background", "accent"):
            values[colour] = values[colour].upper()
        try:
            look = Design(**values, logo=self.chosen_logo())
            look.matrix(self._link)
        except DesignRefused as refused:
            self.add_error(refused.field, design_sentence(refused))
        else:
            self.look = look
        return cleaned


def _as_text(logo: Logo | None) -> str:
    return "" if logo is None else base64.b64encode(logo.data).decode()


class DesignForm(LookForm):
    """A design to be kept: its name, its choices, its logo.

    ``stored`` is the logo that the design has, ``carried`` one that a new design begins with. A logo that was uploaded with a form that comes back stays in ``logo_kept``, since browsers forget files.
    """

    name = forms.CharField(
        label=_("Name of the design"),
        max_length=60,
        help_text=_("Only members see it, such as “Terrace, dark red”."),
        error_messages={"required": _("Give the design a name.")},
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    logo = forms.FileField(
        label=_("Logo"),
        required=False,
        allow_empty_file=True,
        max_length=200,
        help_text=_("PNG, JPEG or WebP, up to 4 MB. It stands in the middle of the code."),
        error_messages={"max_length": _("The file's name is too long.")},
        widget=forms.FileInput(attrs={"accept": "image/png,image/jpeg,image/webp"}),
    )
    logo_kept = forms.CharField(
        required=False,
        max_length=_MOST_KEPT,
        widget=forms.HiddenInput,
        error_messages={"max_length": _("Upload the logo again.")},
    )
    logo_remove = forms.BooleanField(label=_("Take the logo out"), required=False)

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        files: MultiValueDict[str, UploadedFile[bytes]] | None = None,
        *,
        link: str,
        stored: Logo | None = None,
        carried: Logo | None = None,
        initial: dict[str, Any] | None = None,
        only_look: bool = False,
    ) -> None:
        super().__init__(data, files, link=link, initial=initial)
        self._stored = stored
        self._carried = carried
        self.fields["name"].required = not only_look

    def clean_name(self) -> str:
        """The name on one line."""
        return " ".join(str(self.cleaned_data["name"]).split())

    def clean_logo(self) -> Logo | None:
        """The uploaded logo, normalised. Raises ValidationError with the sentence that fits."""
        file = self.cleaned_data.get("logo")
        if not isinstance(file, UploadedFile):
            return None
        try:
            if (file.size or 0) > MAX_LOGO_BYTES:
                raise LogoRefused("too_many_bytes")
            return read_logo(file.read())
        except LogoRefused as refused:
            raise forms.ValidationError(logo_sentence(refused), code=refused.key) from refused

    def clean_logo_kept(self) -> Logo | None:
        """The logo that an earlier answer put into the page: as little to be trusted as a file."""
        text = str(self.cleaned_data["logo_kept"])
        if not text:
            return None
        try:
            return read_logo(base64.b64decode(text, validate=True))
        except (binascii.Error, ValueError) as error:
            # Shown at the field where a new one can be chosen.
            self.add_error("logo", gettext("Upload the logo again."))
            raise forms.ValidationError(gettext("Upload the logo again.")) from error

    @override
    def chosen_logo(self) -> Logo | None:
        """The newest: uploaded now, before, or long ago."""
        if self.cleaned_data.get("logo_remove"):
            return None
        logo = self.cleaned_data.get("logo") or self.cleaned_data.get("logo_kept") or self._stored
        return cast("Logo | None", logo)

    @property
    def kept_text(self) -> str:
        """What ``logo_kept`` holds when the form is shown again: only a logo that is stored nowhere."""
        if not self.is_bound:
            return _as_text(self._carried)
        if self.cleaned_data.get("logo_remove"):
            return ""
        logo = self.cleaned_data.get("logo") or self.cleaned_data.get("logo_kept")
        return _as_text(cast("Logo | None", logo))


class StudioForm(LookForm):
    """The look of one code, begun from a design, and the file that is wanted."""

    design = forms.IntegerField(required=False, widget=forms.HiddenInput)
    with_logo = forms.BooleanField(label=_("Show the logo"), required=False)
    format = forms.ChoiceField(label=_("Show it as"), choices=())
    width_mm = forms.IntegerField(
        label=_("Picture width in mm"),
        min_value=PICTURE_MM.start,
        max_value=PICTURE_MM.stop - 1,
        widget=forms.NumberInput(attrs={"min": PICTURE_MM.start, "max": PICTURE_MM.stop - 1}),
        error_messages={
            "min_value": _("A picture is 15 to 500 mm wide."),
            "max_value": _("A picture is 15 to 500 mm wide."),
        },
    )
    dpi = forms.TypedChoiceField(
        label=_("Resolution"),
        coerce=int,
        choices=[(dpi, f"{dpi} dpi") for dpi in PICTURE_DPI],
    )

    def __init__(
        self,
        data: Mapping[str, Any],
        *,
        link: str,
        logo: Logo | None,
        formats: Sequence[tuple[str, str]],
    ) -> None:
        super().__init__(data, link=link)
        self._logo = logo
        offer(self, format=formats)
        if logo is None:
            del self.fields["with_logo"]

    @override
    def chosen_logo(self) -> Logo | None:
        """The chosen design's, unless it is left out."""
        return self._logo if self.cleaned_data.get("with_logo") else None


class PrintForm(forms.Form):
    """Which file of a code."""

    file = forms.ChoiceField(
        choices=[*((key, key) for key in FORMATS), ("png", "png"), ("svg", "svg")]
    )
