"""Booking: which business day a fact lands in, and balanced entries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.db import connection, transaction

from apps.core import clock, sql
from apps.core.money import Money
from apps.core.tenancy import current_merchant_id
from apps.ledger.models import Account, Purpose
from apps.ledger.selectors.plan import default_words
from apps.merchants.models import Merchant

#: How far past its own day a fact may be booked when the days between are closed.
SEARCH_DAYS = 400

_DAY_STARTS = "SELECT day_starts_at FROM merchants_merchant WHERE id = %s"
_HOLD_DAY = "SELECT is_closed FROM ledger_businessday WHERE merchant_id = %s AND day = %s FOR SHARE"
_MAKE_DAY = """
INSERT INTO ledger_businessday (merchant_id, day, is_closed, version) VALUES (%s, %s, false, 0)
ON CONFLICT (merchant_id, day) DO NOTHING
"""
_MAKE_ACCOUNT = """
INSERT INTO ledger_account (merchant_id, code, name, purpose, subject_id) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT DO NOTHING
"""
_ACCOUNTS = """
SELECT purpose, subject_id, id FROM ledger_account
WHERE merchant_id = %s AND purpose = ANY(%s::text[]) AND subject_id = ANY(%s::bigint[])
"""
_POST = """
WITH entry AS (
    INSERT INTO ledger_journalentry (merchant_id, booked_date, at, kind, subject_kind, subject_id, memo)
    VALUES (%(merchant)s, %(booked)s, %(at)s, %(kind)s, %(subject_kind)s, %(subject)s, %(memo)s) RETURNING id
)
INSERT INTO ledger_posting (merchant_id, entry_id, account_id, amount_minor, currency)
SELECT %(merchant)s, entry.id, line.*
FROM entry, unnest(%(accounts)s::bigint[], %(amounts)s::bigint[], %(currencies)s::text[]) AS line
RETURNING entry_id
"""


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


def claim_day(day: date) -> bool:
    """Hold the day's row FOR SHARE until the transaction ends, so that it cannot be closed; False when it is closed."""
    place = [current_merchant_id(), day]
    row = sql.first(_HOLD_DAY, place)
    if row is None:
        sql.run(_MAKE_DAY, place)
        row = sql.first(_HOLD_DAY, place)
    return row is not None and not row[0]


def booking_date(*, at: datetime) -> date:
    """The open business day that a fact of instant ``at`` lands in; it cannot be closed before COMMIT.

    A fact of a closed day lands in the first open day after it. Raises NoOpenDay, and TransactionManagementError
    outside a transaction.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("booking needs a transaction")
    merchant = sql.first(_DAY_STARTS, [current_merchant_id()])
    if merchant is None:
        raise Merchant.DoesNotExist(current_merchant_id())
    (day_starts_at,) = merchant
    day = clock.business_date(at, day_starts_at)
    for _ in range(SEARCH_DAYS):
        if claim_day(day):
            return day
        day += timedelta(days=1)
    raise NoOpenDay(f"no open business day from {clock.business_date(at, day_starts_at)} on")


def _make_account(purpose: Purpose, subject_id: int) -> int:
    code, name = default_words(purpose, subject_id)
    made = Account.objects.filter(purpose=purpose, subject_id=subject_id).values_list(
        "pk", flat=True
    )
    # The merchant may have given the plan's code to another account: no payment may fail for that.
    for free in (code, *(f"{code}-{number}" for number in range(2, 100))):
        sql.run(_MAKE_ACCOUNT, [current_merchant_id(), free, name, purpose, subject_id])
        found = made.first()
        if found is not None:
            return int(found)
    raise RuntimeError(f"no free code like {code}")


def account_ids(wanted: set[tuple[Purpose, int]]) -> dict[tuple[Purpose, int], int]:
    """The accounts of these purposes and subjects; the first posting to one makes it, always in the same order.

    Two that made them in different orders would wait for each other.
    """
    purposes, subjects = ({key[part] for key in wanted} for part in (0, 1))
    rows = sql.every(_ACCOUNTS, [current_merchant_id(), list(purposes), list(subjects)])
    found = {(Purpose(purpose), subject): pk for purpose, subject, pk in rows}
    return {key: found.get(key) or _make_account(*key) for key in sorted(wanted)}


def balanced(lines: Sequence[Line], *, what: str) -> list[Line]:
    """The lines that move something. Raises NotBalanced, naming ``what``, unless they are two or more and sum to zero."""
    total = sum(line.amount.minor for line in lines)
    sides = [line for line in lines if line.amount.minor]
    if total != 0 or len(sides) < 2:
        raise NotBalanced(f"{what}: {total} fen over")
    return sides


def post(
    *,
    kind: str,
    subject_kind: str,
    subject_id: int,
    at: datetime,
    booked_date: date,
    memo: str,
    lines: Sequence[Line],
) -> int:
    """Post one entry in the caller's transaction; returns its id. ``kind`` with its subject is posted at most once.

    Raises NotBalanced, IntegrityError where an entry of the same kind and subject exists.
    """
    sides = balanced(lines, what=f"{kind} of {subject_kind} {subject_id}")
    accounts = account_ids({(line.purpose, line.subject_id) for line in lines})
    posted = sql.every(
        _POST,
        {
            "merchant": current_merchant_id(),
            "booked": booked_date,
            "at": at,
            "kind": kind,
            "subject_kind": subject_kind,
            "subject": subject_id,
            "memo": memo[:160],
            "accounts": [accounts[line.purpose, line.subject_id] for line in sides],
            "amounts": [line.amount.minor for line in sides],
            "currencies": [line.amount.currency for line in sides],
        },
    )
    return int(posted[0][0])
