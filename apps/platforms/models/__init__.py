"""Platform accounts, their terminals and their pace, what was agreed for them, and every notification that came in."""

from apps.platforms.models.accounts import (
    AccountPace,
    AccountStore,
    AccountTerminal,
    Notification,
    NotificationState,
    PlatformAccount,
    PlatformChoice,
    TerminalState,
    Verdict,
)
from apps.platforms.models.agreements import (
    Agreement,
    AgreementDocument,
    AgreementReminder,
    AgreementWithdrawal,
    ChecklistTick,
    DocumentPiece,
    FeeRounding,
    FeeTier,
    ReminderMail,
)
from apps.platforms.models.changes import ChangeState, CredentialChange

__all__ = [
    "AccountPace",
    "AccountStore",
    "AccountTerminal",
    "Agreement",
    "AgreementDocument",
    "AgreementReminder",
    "AgreementWithdrawal",
    "ChangeState",
    "ChecklistTick",
    "CredentialChange",
    "DocumentKind",
    "DocumentPiece",
    "FeeRounding",
    "FeeTier",
    "Notification",
    "NotificationState",
    "PlatformAccount",
    "PlatformChoice",
    "ReminderMail",
    "TerminalState",
    "Verdict",
]
