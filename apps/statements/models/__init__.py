"""The platforms' bills: files, rows, changes between versions, uploads; what is paid out, and what arrives at the bank."""

from apps.statements.models.banking import (
    BankAccount,
    BankFile,
    BankLine,
)
from apps.statements.models.bills import (
    AWAITED,
    ChangeKind,
    ColumnMap,
    FetchState,
    Statement,
    StatementChange,
    StatementDay,
    StatementLine,
    SweptAnswer,
)
from apps.statements.models.files import (
    BillFile,
    FilePiece,
)
from apps.statements.models.reserve import (
    BalanceMail,
    BalanceNotice,
    BalanceWatch,
    ReserveMove,
    ReserveTerms,
)
from apps.statements.models.settlements import (
    Payout,
    Settlement,
    SettlementBasis,
    SettlementTerms,
    SettlementVersion,
    WorkdayException,
)
from apps.statements.models.uploads import (
    UNDER_WAY,
    Upload,
    UploadState,
)

__all__ = [
    "AWAITED",
    "UNDER_WAY",
    "BalanceMail",
    "BalanceNotice",
    "BalanceWatch",
    "BankAccount",
    "BankFile",
    "BankLine",
    "BillFile",
    "ChangeKind",
    "ColumnMap",
    "FetchState",
    "FilePiece",
    "Payout",
    "ReserveMove",
    "ReserveTerms",
    "Settlement",
    "SettlementBasis",
    "SettlementTerms",
    "SettlementVersion",
    "Statement",
    "StatementChange",
    "StatementDay",
    "StatementLine",
    "SweptAnswer",
    "Upload",
    "UploadState",
    "WorkdayException",
]
