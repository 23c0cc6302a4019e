"""Forms of codes and of their designs."""

from apps.qrcodes.forms.alerts import LookForm
from apps.qrcodes.forms.bulk import (
    BatchForm,
    CodeActForm,
    CopyForm,
    FilingForm,
    FolderForm,
    PrintJobForm,
)
from apps.qrcodes.forms.codes import ArtworkForm, CodeFilterForm, read_amount
from apps.qrcodes.forms.designs import DesignForm, PrintForm, StudioForm, look_values
from apps.qrcodes.forms.templates import TemplateForm
from apps.qrcodes.forms.terms import ChangeForm, StopForm, TermsForm

__all__ = [
    "ArtworkForm",
    "BatchForm",
    "ChangeForm",
    "CodeActForm",
    "CodeFilterForm",
    "CopyForm",
    "DesignForm",
    "FilingForm",
    "FolderForm",
    "LookForm",
    "PrintForm",
    "PrintJobForm",
    "StopForm",
    "StudioForm",
    "TemplateForm",
    "TermsForm",
    "look_values",
    "read_amount",
]
