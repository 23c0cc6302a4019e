"""Forms of codes and of their designs."""

from apps.qrcodes.forms.acts import CodeActForm, CopyForm
from apps.qrcodes.forms.alerts import LookForm
from apps.qrcodes.forms.batches import BatchForm
from apps.qrcodes.forms.codes import ArtworkForm, CodeFilterForm, read_amount
from apps.qrcodes.forms.designs import DesignForm, PrintForm, StudioForm, look_values
from apps.qrcodes.forms.folders import FilingForm, FolderForm
from apps.qrcodes.forms.prints import PrintJobForm
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
