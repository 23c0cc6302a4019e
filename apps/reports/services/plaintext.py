"""Journals of plain-text accounting: beancount and hledger.

Both know accounts by names of a strict form, so ours are built from what an account is for and whose it is; the
merchant's own code and name go with them. They are the same in every file, whatever the merchant calls the account
meanwhile: a file of November and one of December fit together.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from apps.core.money import CNY, Money
from apps.ledger.models import Purpose
from apps.ledger.selectors import TrialBalance
from apps.ledger.selectors.plan import OF_ACCOUNTS

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff]+")
_ROOTS: Final[Mapping[str, str]] = {
    Purpose.RECEIVABLE: "Assets:Receivable",
    Purpose.RESERVE: "Assets:Reserve",
    Purpose.BANK: "Assets:Bank",
    Purpose.SALES: "Income:Sales",
    Purpose.REFUNDS: "Income:Refunds",
    Purpose.FEES: "Expenses:Fees",
    Purpose.SUSPENSE: "Assets:Suspense",
    Purpose.ADJUSTMENTS: "Expenses:Adjustments",
}
#: hledger's letters for the kinds of accounts.
_TYPES: Final[Mapping[str, str]] = {"Assets": "A", "Income": "R", "Expenses": "X"}


@dataclass(frozen=True, slots=True)
class AccountName:
    """An account in a journal: ``path`` such as ``Assets:Receivable:Wechatpay-7``, and the merchant's words."""

    path: str
    code: str
    name: str
    owner: str


@dataclass(frozen=True, slots=True)
class Head:
    """Whose journal it is, of which booked days, and when it was made."""

    merchant: str
    slug: str
    first: date
    last: date
    made_at: datetime


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: ``sides`` are account id, fen (debit positive) and currency. ``at`` is China time."""

    pk: int
    day: date
    at: datetime
    kind: str
    subject: str
    memo: str
    sides: list[tuple[int, int, str]]


def plain(text: str) -> str:
    """The text on one line, without control characters."""
    return _CONTROL.sub(" ", text).strip()


def account_name(
    *, purpose: str, subject_id: int, owner: str, platform: str, code: str, name: str
) -> AccountName:
    """What an account is called; the platform account's or bank account's id keeps it apart from its sisters."""
    path = _ROOTS[purpose]
    if subject_id:
        # Both programs want a capital letter first, then letters, digits and hyphens.
        whose = re.sub(r"[^a-z0-9]", "", platform.lower()) if purpose in OF_ACCOUNTS else ""
        path = f"{path}:{(whose or 'account').capitalize()}-{subject_id}"
    return AccountName(path, plain(code), plain(name), plain(owner))


def _amount(minor: int, currency: str = CNY) -> str:
    return f"{Money(minor).to_yuan()} {currency}"


def _comment(head: Head) -> str:
    """What the file is, as both programs' comments."""
    return (
        f"; {head.slug}, {head.first} to {head.last}, business days in China time (Asia/Shanghai)\n"
        f"; made {head.made_at.isoformat()}\n\n"
    )


def _openings(balances: TrialBalance) -> list[tuple[int, int]]:
    return [(row.account.pk, row.opening) for row in balances if row.opening]


# ---------------------------------------------------------------- beancount
def _quoted(text: str) -> str:
    escaped = plain(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def beancount(
    head: Head,
    names: Mapping[int, AccountName],
    balances: TrialBalance,
    entries: Iterator[Entry],
) -> Iterator[str]:
    """A beancount file: accounts, opening balances, entries, and what every account holds the morning after."""
    before = head.first - timedelta(days=1)
    yield _comment(head)
    yield f'option "title" {_quoted(head.merchant)}\noption "operating_currency" "{CNY}"\n\n'
    yield f"{before} commodity {CNY}\n"
    for name in names.values():
        yield f"\n{before} open {name.path} {CNY}\n"
        yield f"  code: {_quoted(name.code)}\n  name: {_quoted(name.name)}\n"
        if name.owner:
            yield f"  owner: {_quoted(name.owner)}\n"
    openings = _openings(balances)
    if openings:
        yield f'\n{before} * "Opening balances"\n'
        for account, minor in openings:
            yield f"  {names[account].path}  {_amount(minor)}\n"
    for entry in entries:
        yield f"\n{entry.day} * {_quoted(entry.memo or entry.kind)} ^{entry.subject}\n"
        yield f"  entry: {entry.pk}\n  kind: {_quoted(entry.kind)}\n"
        yield f"  subject: {_quoted(entry.subject)}\n  at: {_quoted(entry.at.isoformat())}\n"
        for account, minor, currency in entry.sides:
            yield f"  {names[account].path}  {_amount(minor, currency)}\n"
    # A balance holds at the beginning of its day.
    after = head.last + timedelta(days=1)
    yield "\n"
    for row in balances:
        yield f"{after} balance {names[row.account.pk].path}  {_amount(row.closing)}\n"


# ---------------------------------------------------------------- hledger
def _described(text: str) -> str:
    # A semicolon would begin a comment, a bar would part payee and note.
    return plain(text).replace(";", "；").replace("|", "｜")


def _tagged(text: str) -> str:
    # A comma would end the tag's value.
    return plain(text).replace(",", "，")


def hledger(
    head: Head,
    names: Mapping[int, AccountName],
    balances: TrialBalance,
    entries: Iterator[Entry],
) -> Iterator[str]:
    """An hledger journal: accounts, opening balances, entries, and assertions on the period's last day."""
    before = head.first - timedelta(days=1)
    yield _comment(head)
    yield f"commodity 1000.00 {CNY}\n\n"
    for name in names.values():
        kind = _TYPES[name.path.partition(":")[0]]
        owner = f", owner: {_tagged(name.owner)}" if name.owner else ""
        yield f"account {name.path}  ; type: {kind}, code: {_tagged(name.code)}, name: {_tagged(name.name)}{owner}\n"
    openings = _openings(balances)
    if openings:
        yield f"\n{before} * (opening) Opening balances\n"
        for account, minor in openings:
            yield f"    {names[account].path}  {_amount(minor)}\n"
    for entry in entries:
        yield f"\n{entry.day} * ({entry.pk}) {_described(entry.memo or entry.kind)}\n"
        yield f"    ; kind: {entry.kind}, subject: {entry.subject}, at: {entry.at.isoformat()}\n"
        for account, minor, currency in entry.sides:
            yield f"    {names[account].path}  {_amount(minor, currency)}\n"
    if balances.rows:
        yield f"\n{head.last} * (closing) Balances at the end of the period\n"
        for row in balances:
            path = names[row.account.pk].path
            yield f"    {path}  {_amount(0)} = {_amount(row.closing)}\n"


Writer = Callable[[Head, Mapping[int, AccountName], TrialBalance, Iterator[Entry]], Iterator[str]]
WRITERS: Final[Mapping[str, Writer]] = {"beancount": beancount, "hledger": hledger}
