"""What people hand in."""

from apps.reconciliation.forms.acting import (
    ActForm,
    AutoRuleForm,
    CommentForm,
    LimitForm,
    OpenForm,
)
from apps.reconciliation.forms.closing import CloseForm, ReopenForm
from apps.reconciliation.forms.days import (
    EACH_LANGUAGE,
    NOTE_LENGTH,
    AccountRuleForm,
    DifferencesForm,
    FetchForm,
    FilterForm,
    HistoryForm,
    MorningMailForm,
    OutsideRuleForm,
    ResolveForm,
    UploadForm,
)

__all__ = [
    "EACH_LANGUAGE",
    "NOTE_LENGTH",
    "AccountRuleForm",
    "ActForm",
    "AutoRuleForm",
    "CloseForm",
    "CommentForm",
    "DifferencesForm",
    "FetchForm",
    "FilterForm",
    "HistoryForm",
    "LimitForm",
    "MorningMailForm",
    "OpenForm",
    "OutsideRuleForm",
    "ReopenForm",
    "ResolveForm",
    "UploadForm",
]
