"""What people hand in: bank statements and their columns, links, terms, narrower lists."""

from apps.statements.forms.banking import (
    BankAccountForm,
    BankChooseForm,
    BankSampleForm,
    BankUploadForm,
)
from apps.statements.forms.columns import (
    LABELS,
    ChooseForm,
    SampleForm,
    open_sample,
    seal_sample,
    usable_bill,
)
from apps.statements.forms.filters import (
    BankFilterForm,
    SettlementFilterForm,
)
from apps.statements.forms.reserve import ReserveForm, WatchForm
from apps.statements.forms.settling import (
    HoldForm,
    LinkForm,
    TermsForm,
    UndoForm,
    WorkdayForm,
)

__all__ = [
    "LABELS",
    "BankAccountForm",
    "BankChooseForm",
    "BankFilterForm",
    "BankSampleForm",
    "BankUploadForm",
    "ChooseForm",
    "HoldForm",
    "LinkForm",
    "ReserveForm",
    "SampleForm",
    "SettlementFilterForm",
    "TermsForm",
    "UndoForm",
    "WatchForm",
    "WorkdayForm",
    "open_sample",
    "seal_sample",
    "usable_bill",
]
