"""The plan of accounts: what is there, and what the default plan will add when it is needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from apps.ledger.models import Account, Purpose

#: The default plan: codes and names of the Chinese small-business chart of accounts.
PLAN: Final[Mapping[str, tuple[str, str]]] = {
    Purpose.RECEIVABLE: ("1221", "应收支付平台款"),
    Purpose.RESERVE: ("1012", "退款留存"),
    Purpose.BANK: ("1002", "银行存款"),
    Purpose.SALES: ("6001", "主营业务收入"),
    Purpose.REFUNDS: ("6002", "销售退款"),
    Purpose.FEES: ("6603", "支付手续费"),
    Purpose.SUSPENSE: ("1901", "待处理财产损溢"),
    Purpose.ADJUSTMENTS: ("6711", "对账调整"),
}

#: What there is one account of for each platform account.
OF_ACCOUNTS: Final = frozenset({Purpose.RECEIVABLE, Purpose.RESERVE})


def default_words(purpose: str, subject_id: int) -> tuple[str, str]:
    """The code and name that the default plan gives to an account."""
    code, name = PLAN[purpose]
    return (f"{code}.{subject_id}", f"{name} {subject_id}") if subject_id else (code, name)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRow:
    """An account that is there (``account_id`` set), or one that the first posting will make."""

    purpose: Purpose
    subject_id: int
    code: str
    name: str
    account_id: int | None = None

    @property
    def key(self) -> str:
        """What names the account in forms: ``receivable.7``."""
        return f"{self.purpose}.{self.subject_id}"

    @property
    def default(self) -> tuple[str, str]:
        """Its code and name in the default plan."""
        return default_words(self.purpose, self.subject_id)


def list_plan() -> list[PlanRow]:
    """All accounts of the merchant and those of the default plan that are not there yet, by code.

    A receivable or reserve of no platform account is not listed: nothing books there.
    """
    rows = [
        PlanRow(
            purpose=Purpose(account.purpose),
            subject_id=account.subject_id,
            code=account.code,
            name=account.name,
            account_id=account.pk,
        )
        for account in Account.objects.all()
    ]
    there = {row.purpose for row in rows if not row.subject_id}
    taken = {row.code for row in rows}
    for purpose, (code, name) in PLAN.items():
        if purpose in there or purpose in OF_ACCOUNTS:
            continue
        # As the first posting would choose it.
        choices = (code, *(f"{code}-{number}" for number in range(2, 100)))
        free = next(choice for choice in choices if choice not in taken)
        rows.append(PlanRow(purpose=Purpose(purpose), subject_id=0, code=free, name=name))
    return sorted(rows, key=lambda row: row.code)
