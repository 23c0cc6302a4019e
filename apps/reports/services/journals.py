"""The books as files: journals for beancount and hledger, postings and trial balance as CSV.

All are streamed and read the books as of one moment, so that what a file asserts is what it adds up to. A period that does
not begin with the books starts with an entry of the opening balances; the end of the period is asserted account by
account, as the trial balance has it.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from itertools import groupby
from typing import Any, Final

from django.db import connection, transaction
from django.utils.translation import gettext, override, pgettext

from apps.core import audit, clock
from apps.core.money import Money
from apps.core.tenancy import current_merchant_id, current_scope, enter_scope
from apps.ledger.models import JournalEntry, Posting
from apps.ledger.selectors import Period, TrialBalance, period_balances
from apps.ledger.subjects import kind_words, owner_names
from apps.merchants.models import Merchant
from apps.platforms.models import PlatformAccount
from apps.reports.services.exports import CHUNK, HEADERS, csv_line, guarded
from apps.reports.services.plaintext import (
    WRITERS,
    AccountName,
    Entry,
    Head,
    account_name,
    plain,
)

#: How the books can be had; ``csv`` has one row a posting.
FORMATS: Final = ("csv", "beancount", "hledger")
#: How such files end.
ENDINGS: Final = {"csv": "csv", "beancount": "beancount", "hledger": "journal"}
_ROWS: Final = 2_000

_POSTINGS = """
SELECT e.id, e.booked_date, e.at, e.kind, e.subject_kind, e.subject_id, e.memo, p.account_id, p.amount_minor, p.currency
FROM ledger_journalentry e
JOIN ledger_posting p ON p.merchant_id = e.merchant_id AND p.entry_id = e.id
WHERE e.merchant_id = %(merchant)s AND p.merchant_id = %(merchant)s
  AND e.booked_date >= %(first)s AND e.booked_date <= %(last)s
ORDER BY e.booked_date, e.id, p.id
"""


@contextmanager
def _one_moment() -> Iterator[None]:
    """Everything read inside is as of one moment; an outer transaction keeps its own way."""
    outermost = not connection.in_atomic_block
    with transaction.atomic():
        if outermost:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def _postings(period: Period) -> Iterator[tuple[Any, ...]]:
    first, last = period.bounds
    values: dict[str, int | date] = {
        "merchant": current_merchant_id(),
        "first": first,
        "last": last,
    }
    # The server keeps the rows; two thousand at a time come here.
    with connection.chunked_cursor() as cursor:
        cursor.execute(_POSTINGS, values)
        while rows := cursor.fetchmany(_ROWS):
            yield from rows


def _entries(period: Period) -> Iterator[Entry]:
    for key, rows in groupby(_postings(period), key=lambda row: row[:7]):
        pk, day, at, kind, subject_kind, subject_id, memo = key
        yield Entry(
            pk=pk,
            day=day,
            at=at.astimezone(clock.CHINA),
            kind=kind,
            subject=f"{subject_kind}-{subject_id}",
            memo=memo,
            sides=[(row[7], row[8], row[9]) for row in rows],
        )


def _names(balances: TrialBalance) -> dict[int, AccountName]:
    """What each account is called in journals, by its id."""
    accounts = [row.account for row in balances]
    platforms = dict(PlatformAccount.objects.values_list("pk", "platform"))
    owners = owner_names(account.purpose for account in accounts)
    return {
        account.pk: account_name(
            purpose=account.purpose,
            subject_id=account.subject_id,
            owner=owners.get((account.purpose, account.subject_id), ""),
            platform=platforms.get(account.subject_id, ""),
            code=account.code,
            name=account.name,
        )
        for account in accounts
    }


def _gathered(lines: Iterator[str], encoding: str) -> Iterator[bytes]:
    pieces: list[str] = []
    size = 0
    for line in lines:
        pieces.append(line)
        size += len(line)
        if size >= CHUNK:
            yield "".join(pieces).encode(encoding)
            pieces, size = [], 0
    if pieces:
        yield "".join(pieces).encode(encoding)


def export_ledger(
    period: Period, *, form: str, headers: str = "zh", encoding: str = "utf-8-sig", now: datetime
) -> Iterator[bytes]:
    """The journal of a period with both ends, in pieces, oldest entry first; ``form`` is one of FORMATS.

    ``headers`` and ``encoding`` are for CSV; journals are UTF-8. It enters the present scope again by itself when it is
    read, and its memory does not grow with the file.
    """
    if period.first is None or period.last is None:
        raise ValueError("a file of the books needs both days")
    scope = current_scope()
    merchant = Merchant.objects.get(pk=scope.merchant_id)
    head = Head(merchant.name, merchant.slug, period.first, period.last, now)

    def lines() -> Iterator[str]:
        with enter_scope(scope), _one_moment():
            balances = period_balances(period)
            if form == "csv":
                yield from _csv(period, balances, headers)
            else:
                # Programs' words stay the same whoever asks.
                with override("en"):
                    names = _names(balances)
                yield from WRITERS[form](head, names, balances, _entries(period))

    return _marked(lines(), encoding if form == "csv" else "utf-8")


def _marked(lines: Iterator[str], encoding: str) -> Iterator[bytes]:
    # The mark stands once, in front.
    if encoding == "utf-8-sig":
        yield b"\xef\xbb\xbf"
        encoding = "utf-8"
    yield from _gathered(lines, encoding)


# ---------------------------------------------------------------- CSV
@dataclass(frozen=True, slots=True)
class _Titles:
    """The titles of both files: fixed for programs, in words for people."""

    machine: bool

    def of(self, *names: tuple[str, str]) -> str:
        return csv_line([name if self.machine else words for name, words in names])


def _text(text: str, *, machine: bool) -> str:
    text = plain(text)
    if machine:
        # Formulas are guarded for programs too, as in the other files; numbers stay bare.
        return text if text.isdigit() else guarded(text)
    return guarded(text)


def _code(code: str, *, machine: bool) -> str:
    # A spreadsheet would take 1221.10 for 1221.1.
    number = code.replace(".", "", 1).isdigit() and "." in code
    return f"{code}\t" if number and not machine else _text(code, machine=machine)


def _yuan(minor: int) -> str:
    return Money(minor).to_yuan()


class _Echo:
    """Hands a written row straight back."""

    def write(self, row: str) -> str:
        return row


def _csv(period: Period, balances: TrialBalance, headers: str) -> Iterator[str]:
    machine = HEADERS[headers] is None
    with override(HEADERS[headers] or "en"):
        yield _Titles(machine).of(
            ("entry", gettext("Entry")),
            ("business_date", gettext("Business day")),
            ("at_asia_shanghai", gettext("It happened") + "(Asia/Shanghai)"),
            ("kind", pgettext("ledger", "About")),
            ("subject", gettext("Subject")),
            ("memo", gettext("Memo")),
            ("account_code", gettext("Account code")),
            ("account_name", pgettext("ledger", "Account")),
            ("debit_yuan", gettext("Debit (yuan)")),
            ("credit_yuan", gettext("Credit (yuan)")),
            ("currency", gettext("Currency")),
        )
        words: dict[str, str] = {}
    accounts = {
        row.account.pk: (
            _code(row.account.code, machine=machine),
            _text(row.account.name, machine=machine),
        )
        for row in balances
    }
    # Returns what the echo does: one line, without a buffer made for each.
    write: Callable[[list[Any]], str] = csv.writer(_Echo(), lineterminator="\r\n").writerow
    for pk, day, at, _kind, subject_kind, subject_id, memo, account, minor, currency in _postings(
        period
    ):
        if subject_kind not in words:
            with override(HEADERS[headers] or "en"):
                words[subject_kind] = subject_kind if machine else kind_words(subject_kind)
        yield write(
            [
                pk,
                day.isoformat(),
                at.astimezone(clock.CHINA).isoformat(" ", "seconds")[:19],
                words[subject_kind],
                subject_id,
                _text(memo, machine=machine),
                *accounts[account],
                _yuan(minor) if minor > 0 else "",
                _yuan(-minor) if minor < 0 else "",
                currency,
            ]
        )


def export_trial_balance(
    period: Period, *, headers: str = "zh", encoding: str = "utf-8-sig"
) -> bytes:
    """The trial balance as CSV: balances are positive on the debit side; the same rows as on the page."""
    machine = HEADERS[headers] is None
    with override(HEADERS[headers] or "en"):
        lines = [
            _Titles(machine).of(
                ("account_code", gettext("Account code")),
                ("account_name", pgettext("ledger", "Account")),
                ("opening_yuan", gettext("Opening balance (yuan)")),
                ("debit_yuan", gettext("Debit (yuan)")),
                ("credit_yuan", gettext("Credit (yuan)")),
                ("closing_yuan", gettext("Closing balance (yuan)")),
            )
        ]
    lines += [
        csv_line(
            [
                _code(row.account.code, machine=machine),
                _text(row.account.name, machine=machine),
                *(_yuan(minor) for minor in (row.opening, row.debit, row.credit, row.closing)),
            ]
        )
        for row in period_balances(period)
    ]
    return "".join(lines).encode(encoding)


# ---------------------------------------------------------------- what goes with a file
def count_entries(period: Period) -> int:
    """How many entries a file of the period has."""
    first, last = period.bounds
    return JournalEntry.objects.filter(booked_date__gte=first, booked_date__lte=last).count()


def count_postings(period: Period) -> int:
    """How many rows a CSV file of the period's journal has."""
    first, last = period.bounds
    return Posting.objects.filter(
        entry__booked_date__gte=first, entry__booked_date__lte=last
    ).count()


def books_file_name(*, slug: str, kind: str, period: Period, form: str) -> str:
    """``tea-ledger-20261101-20261130.beancount``."""
    days = "-".join(f"{day:%Y%m%d}" for day in (period.first, period.last) if day is not None)
    return f"{slug}-{kind}-{days}.{ENDINGS[form]}"


def record_books_download(
    *, kind: str, period: Period, form: str, actor: audit.Actor, now: datetime
) -> None:
    """Who took the books out of the house."""
    audit.record(
        action="export.downloaded",
        subject_kind="merchant",
        subject_id=current_merchant_id(),
        actor=actor,
        at=now,
        data={
            "kind": kind,
            "format": form,
            "filters": {"date_from": str(period.first), "date_to": str(period.last)},
        },
    )


def month_until(today: date) -> Period:
    """This month so far: what is offered where nothing was chosen."""
    return Period(today.replace(day=1), today)
