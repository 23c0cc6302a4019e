"""What moved on one platform account's receivable, and what one of its accounts holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from apps.core import sql
from apps.core.tenancy import current_merchant_id
from apps.ledger.models import Purpose

_BY_DAY: Final = """
SELECT e.booked_date,
       COALESCE(sum(p.amount_minor) FILTER (WHERE e.subject_kind = 'payment'), 0)::bigint,
       COALESCE(-sum(p.amount_minor) FILTER (WHERE e.subject_kind = 'refund'), 0)::bigint
FROM ledger_account a
JOIN ledger_posting p ON p.merchant_id = %(merchant)s AND p.account_id = a.id
JOIN ledger_journalentry e ON e.merchant_id = %(merchant)s AND e.id = p.entry_id
WHERE a.merchant_id = %(merchant)s AND a.purpose = 'receivable' AND a.subject_id = %(account)s
  AND e.subject_kind IN ('payment', 'refund') AND e.booked_date BETWEEN %(first)s AND %(last)s
GROUP BY 1 ORDER BY 1
"""
_HELD: Final = """
SELECT COALESCE(sum(p.amount_minor), 0)::bigint FROM ledger_account a
JOIN ledger_posting p ON p.merchant_id = %(merchant)s AND p.account_id = a.id
WHERE a.merchant_id = %(merchant)s AND a.purpose = %(purpose)s AND a.subject_id = %(account)s
"""


@dataclass(frozen=True, slots=True)
class DayMoved:
    """One booked day of a receivable, in fen: payments after fees, and what refunds took off it (positive)."""

    taken: int = 0
    refunded: int = 0

    @property
    def net(self) -> int:
        """Taken less refunded."""
        return self.taken - self.refunded


def moved_by_day(account_id: int, *, first: date, last: date) -> Mapping[date, DayMoved]:
    """By booked day, both ends included, what payments and refunds moved; days without any are left out. One query."""
    values = {
        "merchant": current_merchant_id(),
        "account": account_id,
        "first": first,
        "last": last,
    }
    return {day: DayMoved(taken, refunded) for day, taken, refunded in sql.every(_BY_DAY, values)}


def held_on(purpose: Purpose, account_id: int) -> int:
    """What a platform account's receivable or reserve holds, in fen; debit is positive. One query."""
    values = {
        "merchant": current_merchant_id(),
        "account": account_id,
        "purpose": purpose.value,
    }
    row = sql.first(_HELD, values)
    return int(row[0]) if row else 0
