"""How accounts are paid out: the merchant's terms, or what is usual at the platform."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from apps.platforms.gateway import Platform
from apps.platforms.models import Agreement, PlatformAccount
from apps.platforms.selectors.agreements import in_force, versions_by_account
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
    terms = SettlementTerms(
        account=account,
        basis=usual.basis,
        cycle_days=usual.cycle_days,
        working_days=usual.working_days,
        bank_words=usual.words,
    )
    terms.is_usual = True
    return terms


def terms_of(accounts: Collection[PlatformAccount]) -> dict[int, SettlementTerms]:
    """The terms of each account, by account; one query, two where an account has an agreement.

    ``pk`` is None where nobody entered any: then ``cycle_on`` goes by the agreement.
    """
    stored = {
        row.account_id: row
        for row in SettlementTerms.objects.filter(account_id__in=[row.pk for row in accounts])
    }
    agreed = [row.pk for row in accounts if row.has_agreement]
    versions = versions_by_account(agreed) if agreed else {}
    found = {}
    for row in accounts:
        terms = stored.get(row.pk) or usual_terms(row)
        terms.agreed = versions.get(row.pk, ())
        found[row.pk] = terms
    return found


def cycle_on(terms: SettlementTerms, day: date) -> tuple[int, bool]:
    """When the money of a cycle day is due: so many days later, and whether working days count.

    By the terms that were entered, else by the agreement in force on that day, else as usual at the platform. What is
    withdrawn has no cycle that a platform could promise.
    """
    agreement = in_force(terms.agreed, day) if terms.is_usual else None
    if agreement is None or terms.basis != SettlementBasis.BILL:
        return terms.cycle_days, terms.working_days
    return agreement.cycle_days, agreement.working_days


def is_agreed(terms: SettlementTerms, day: date) -> bool:
    """Whether the cycle of that day is the agreement's."""
    return (
        terms.is_usual
        and terms.basis == SettlementBasis.BILL
        and in_force(terms.agreed, day) is not None
    )


def contradicting(terms: SettlementTerms, day: date) -> Agreement | None:
    """The agreement in force on a day, where it says another cycle than the terms that somebody entered."""
    if terms.is_usual or terms.basis != SettlementBasis.BILL:
        return None
    agreement = in_force(terms.agreed, day)
    if agreement is None:
        return None
    same = (agreement.cycle_days, agreement.working_days) == (terms.cycle_days, terms.working_days)
    # On the very day itself it makes no difference which days count.
    if same or agreement.cycle_days == terms.cycle_days == 0:
        return None
    return agreement


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
