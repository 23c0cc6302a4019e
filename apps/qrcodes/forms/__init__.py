"""Forms of codes and of their designs."""

from apps.qrcodes.forms.codes import ArtworkForm, CodeFilterForm, read_amount
from apps.qrcodes.forms.designs import DesignForm, PrintForm, StudioForm, look_values
from apps.qrcodes.forms.templates import TemplateForm
from apps.qrcodes.forms.terms import ChangeForm, StopForm, TermsForm

__all__ = [
    "ArtworkForm",
    "ChangeForm",
    "CodeFilterForm",
    "DesignForm",
    "PrintForm",
    "StopForm",
    "StudioForm",
    "TemplateForm",
    "TermsForm",
    "look_values",
    "read_amount",
]
