"""Booking many facts at once: whole days are held once, and entries are written by two statements whatever their number."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from django.db import connection, transaction
from psycopg import sql as names

from apps.core.tenancy import current_merchant_id
from apps.ledger.models import Purpose
from apps.ledger.services.booking import SEARCH_DAYS, account_ids, claim_day


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One side of each entry: the column that holds its fen (positive is debit) and the account it goes to."""

    purpose: Purpose
    column: str
    subject_id: int = 0


def booking_dates(days: Iterable[date]) -> Mapping[date, date | None]:
    """For each business day the open one that its facts land in, as ``booking_date`` says; None where there is none.

    The open days are held FOR SHARE until the transaction ends. Raises TransactionManagementError outside one.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("booking needs a transaction")
    found: dict[date, date | None] = {}
    for day in sorted(set(days)):
        candidates = (day + timedelta(days=ahead) for ahead in range(SEARCH_DAYS))
        found[day] = next((each for each in candidates if claim_day(each)), None)
    return found


def post_many(
    *,
    source: str,
    kind: str,
    subject_kind: str,
    at_column: str,
    memo_column: str,
    sides: Sequence[Side],
) -> int:
    """Post one entry for each row of the temporary table ``source``; how many.

    ``source`` has ``subject_id``, ``booked_date``, ``currency`` and the named columns; the sides of each of its rows must sum
    to zero, with two of them or more not zero, or COMMIT fails. Raises IntegrityError where an entry of the kind and subject
    is there already.
    """
    accounts = account_ids({(side.purpose, side.subject_id) for side in sides})
    values = names.SQL(", ").join(
        names.SQL("({}::bigint, s.{})").format(
            names.Literal(accounts[side.purpose, side.subject_id]), names.Identifier(side.column)
        )
        for side in sides
    )
    statement = names.SQL(
        """
        WITH entry AS (
            INSERT INTO ledger_journalentry
                (merchant_id, booked_date, at, kind, subject_kind, subject_id, memo)
            SELECT %(merchant)s, s.booked_date, s.{at}, %(kind)s, %(subject_kind)s, s.subject_id, left(s.{memo}, 160)
            FROM {source} s ORDER BY s.subject_id
            RETURNING id, subject_id
        )
        INSERT INTO ledger_posting (merchant_id, entry_id, account_id, amount_minor, currency)
        SELECT %(merchant)s, entry.id, side.account, side.amount, s.currency
        FROM entry JOIN {source} s ON s.subject_id = entry.subject_id
        CROSS JOIN LATERAL (VALUES {values}) AS side (account, amount)
        WHERE side.amount <> 0
        """
    ).format(
        at=names.Identifier(at_column),
        memo=names.Identifier(memo_column),
        source=names.Identifier(source),
        values=values,
    )
    with connection.cursor() as cursor:
        cursor.execute(names.SQL("SELECT count(*) FROM {}").format(names.Identifier(source)))
        row = cursor.fetchone()
        count = int(row[0]) if row else 0
        if count:
            cursor.execute(
                statement,
                {
                    "merchant": current_merchant_id(),
                    "kind": kind,
                    "subject_kind": subject_kind,
                },
            )
    return count
