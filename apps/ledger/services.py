"""Booking: which business day a fact lands in, and balanced entries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db import connection, transaction

from apps.core import clock
from apps.core.money import Money
from apps.core.tenancy import current_merchant_id
from apps.ledger.models import Account, JournalEntry, Posting, Purpose
from apps.merchants.models import Merchant

#: How far past its own day a fact may be booked when the days between are closed.
SEARCH_DAYS = 400

#: The default plan: codes and names of the Chinese small-business chart of accounts.
PLAN: dict[str, tuple[str, str]] = {
    Purpose.RECEIVABLE: ("1221", "应收支付平台款"),
    Purpose.BANK: ("1002", "银行存款"),
    Purpose.SALES: ("6001", "主营业务收入"),
    Purpose.REFUNDS: ("6002", "销售退款"),
    Purpose.FEES: ("6603", "支付手续费"),
    Purpose.SUSPENSE: ("1901", "待处理财产损溢"),
    Purpose.ADJUSTMENTS: ("6711", "对账调整"),
}


class NoOpenDay(Exception):
    """Every business day from the fact's own day on is closed."""


class NotBalanced(ValueError):
    """The lines of an entry do not sum to zero, or are fewer than two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One side of an entry: positive is debit. ``subject_id`` is the platform account of a receivable."""

    purpose: Purpose
    amount: Money
    subject_id: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryDraft:
    """An entry to be posted; ``kind`` with its subject is posted at most once."""

    kind: str
    subject_kind: str
    subject_id: int
    at: datetime
    booked_date: date
    memo: str
    lines: Sequence[Line]


def _claim_day(day: date) -> bool:
    """Hold the day's row FOR SHARE until the transaction ends; False when the day is closed."""
    merchant_id = current_merchant_id()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT is_closed FROM ledger_businessday WHERE merchant_id = %s AND day = %s FOR SHARE",
            [merchant_id, day],
        )
        row = cursor.fetchone()
        if row is None:
            cursor.execute(
                "INSERT INTO ledger_businessday (merchant_id, day, is_closed, version)"
                " VALUES (%s, %s, false, 0) ON CONFLICT (merchant_id, day) DO NOTHING",
                [merchant_id, day],
            )
            cursor.execute(
                "SELECT is_closed FROM ledger_businessday WHERE merchant_id = %s AND day = %s FOR SHARE",
                [merchant_id, day],
            )
            row = cursor.fetchone()
    return row is not None and not row[0]


def booking_date(*, at: datetime) -> date:
    """The open business day that a fact of instant ``at`` lands in; it cannot be closed before COMMIT.

    A fact of a closed day lands in the first open day after it. Raises NoOpenDay, and TransactionManagementError
    outside a transaction.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("booking needs a transaction")
    day_starts_at = Merchant.objects.values_list("day_starts_at", flat=True).get(
        pk=current_merchant_id()
    )
    day = clock.business_date(at, day_starts_at)
    for _ in range(SEARCH_DAYS):
        if _claim_day(day):
            return day
        day += timedelta(days=1)
    raise NoOpenDay(f"no open business day from {clock.business_date(at, day_starts_at)} on")


def _make_account(purpose: Purpose, subject_id: int) -> int:
    code, name = PLAN[purpose]
    if subject_id:
        code, name = f"{code}.{subject_id}", f"{name} {subject_id}"
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO ledger_account (merchant_id, code, name, purpose, subject_id)"
            " VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            [current_merchant_id(), code, name, purpose, subject_id],
        )
    return int(
        Account.objects.values_list("pk", flat=True).get(purpose=purpose, subject_id=subject_id)
    )


def _account_ids(wanted: set[tuple[Purpose, int]]) -> dict[tuple[Purpose, int], int]:
    """The accounts of these purposes and subjects; the first posting to one makes it."""
    rows = Account.objects.filter(
        purpose__in={purpose for purpose, _ in wanted},
        subject_id__in={subject for _, subject in wanted},
    ).values_list("purpose", "subject_id", "pk")
    found = {(Purpose(purpose), subject): pk for purpose, subject, pk in rows}
    return {key: found.get(key) or _make_account(*key) for key in wanted}


def post_many(drafts: Iterable[EntryDraft]) -> list[JournalEntry]:
    """Post entries in the caller's transaction, with two INSERTs whatever their number.

    Raises NotBalanced, IntegrityError where an entry of the same kind and subject exists.
    """
    drafts = list(drafts)
    for draft in drafts:
        total = sum(line.amount.minor for line in draft.lines)
        if total != 0 or sum(1 for line in draft.lines if line.amount.minor) < 2:
            raise NotBalanced(
                f"{draft.kind} of {draft.subject_kind} {draft.subject_id}: {total} fen over"
            )
    accounts = _account_ids(
        {(line.purpose, line.subject_id) for draft in drafts for line in draft.lines}
    )
    entries = JournalEntry.objects.bulk_create(
        [
            JournalEntry(
                booked_date=draft.booked_date,
                at=draft.at,
                kind=draft.kind,
                subject_kind=draft.subject_kind,
                subject_id=draft.subject_id,
                memo=draft.memo[:160],
            )
            for draft in drafts
        ]
    )
    Posting.objects.bulk_create(
        [
            Posting(
                entry_id=entry.pk,
                account_id=accounts[(line.purpose, line.subject_id)],
                amount_minor=line.amount.minor,
                currency=line.amount.currency,
            )
            for draft, entry in zip(drafts, entries, strict=True)
            for line in draft.lines
            if line.amount.minor
        ]
    )
    return entries


def post(
    *,
    kind: str,
    subject_kind: str,
    subject_id: int,
    at: datetime,
    booked_date: date,
    memo: str,
    lines: Sequence[Line],
) -> JournalEntry:
    """Post one entry in the caller's transaction. Raises as ``post_many``."""
    draft = EntryDraft(
        kind=kind,
        subject_kind=subject_kind,
        subject_id=subject_id,
        at=at,
        booked_date=booked_date,
        memo=memo,
        lines=lines,
    )
    return post_many([draft])[0]
