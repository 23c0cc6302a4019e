"""How accounts are paid out: the merchant's terms, or what is usual at the platform."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from apps.platforms.gateway import Platform
from apps.platforms.models import PlatformAccount
from apps.statements.models import SettlementBasis, SettlementTerms, WorkdayException


@dataclass(frozen=True, slots=True)
class Usual:
    """What is usual at a platform. Contracts differ, so each account can have its own ``SettlementTerms``."""

    basis: SettlementBasis
    cycle_days: int
    working_days: bool
    words: str


#: WeChat Pay, UnionPay and the acquirers behind Shouqianba pay each day's net to the bank on the next working day; Alipay
#: keeps it in the balance until it is withdrawn. None of it is certain for a given contract.
USUAL: Final[Mapping[Platform, Usual]] = {
    Platform.WECHATPAY: Usual(SettlementBasis.BILL, 1, True, "财付通,微信支付,Tenpay"),
    Platform.ALIPAY: Usual(SettlementBasis.WITHDRAWAL, 1, False, "支付宝,Alipay"),
    Platform.UNIONPAY: Usual(SettlementBasis.BILL, 1, True, "银联,UnionPay"),
    Platform.SHOUQIANBA: Usual(SettlementBasis.BILL, 1, True, "收钱吧,拉卡拉,富友,通联"),
}


def usual_terms(account: PlatformAccount) -> SettlementTerms:
    """The platform's usual terms as a row that is not stored."""
    usual = USUAL[Platform(account.platform)]
    return SettlementTerms(
        account=account,
        basis=usual.basis,
        cycle_days=usual.cycle_days,
        working_days=usual.working_days,
        bank_words=usual.words,
    )


def terms_of(accounts: Collection[PlatformAccount]) -> dict[int, SettlementTerms]:
    """The terms of each account, by account; one query. ``pk`` is None where they are the usual ones."""
    stored = {
        row.account_id: row
        for row in SettlementTerms.objects.filter(account_id__in=[row.pk for row in accounts])
    }
    return {row.pk: stored.get(row.pk) or usual_terms(row) for row in accounts}


def workday_exceptions() -> dict[date, bool]:
    """What the merchant says of single days; True is a working day."""
    return dict(WorkdayException.objects.values_list("day", "is_working"))


def list_workdays() -> list[WorkdayException]:
    """The merchant's own days, latest first."""
    return list(WorkdayException.objects.order_by("-day"))


def words_of(terms: SettlementTerms) -> tuple[str, ...]:
    """The words by which a bank line is the account's, in lower case."""
    parts = terms.bank_words.replace("，", ",").replace("、", ",").split(",")
    return tuple(word for part in parts if (word := part.strip().lower()))
