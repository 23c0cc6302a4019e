"""What is booked on one day, by platform account and by store: the tables of the day's report."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final

from apps.core import sql
from apps.core.tenancy import current_merchant_id


@dataclass(frozen=True, slots=True)
class DayShare:
    """One account's or store's part of a day. Amounts in fen; fees are the estimates that payments and refunds carry."""

    name: str
    payment_count: int
    payment_minor: int
    refund_count: int
    refund_minor: int
    fee_minor: int

    @property
    def net_minor(self) -> int:
        """Paid less given back."""
        return self.payment_minor - self.refund_minor


_SHARES: Final = """
WITH moved AS (
    SELECT p.{key} AS key, 1 AS paid, 0 AS given, p.amount_minor AS paid_minor, 0::bigint AS given_minor, p.fee_minor
    FROM payments_payment p WHERE p.merchant_id = %(merchant)s AND p.booked_date = %(day)s AND p.state = 'succeeded'
    UNION ALL
    SELECT r.{key}, 0, 1, 0, r.amount_minor, -r.fee_minor
    FROM refunds_refund r WHERE r.merchant_id = %(merchant)s AND r.booked_date = %(day)s AND r.state = 'succeeded'
)
SELECT n.{name}, sum(m.paid), sum(m.paid_minor)::bigint, sum(m.given), sum(m.given_minor)::bigint, sum(m.fee_minor)::bigint
FROM moved m JOIN {table} n ON n.merchant_id = %(merchant)s AND n.id = m.key
GROUP BY n.id, n.{name} ORDER BY n.id
"""
_BY_ACCOUNT: Final = _SHARES.format(
    key="account_id", name="label", table="platforms_platformaccount"
)
_BY_STORE: Final = _SHARES.format(key="store_id", name="name", table="merchants_store")


def shares_of_accounts(day: date) -> list[DayShare]:
    """The day by platform account. One query."""
    return _shares(_BY_ACCOUNT, day)


def shares_of_stores(day: date) -> list[DayShare]:
    """The day by store. One query."""
    return _shares(_BY_STORE, day)


def _shares(statement: str, day: date) -> list[DayShare]:
    rows = sql.every(statement, {"merchant": current_merchant_id(), "day": day})
    return [DayShare(row[0], *(int(value) for value in row[1:])) for row in rows]
