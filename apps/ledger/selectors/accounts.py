"""One account's postings with their running balance, a page at a time."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final

from apps.core import sql
from apps.core.tenancy import current_merchant_id
from apps.ledger.models import Account
from apps.ledger.selectors.balances import Period
from apps.ledger.selectors.places import Place, decode, encode

PAGE_SIZE: Final = 50

# The balance before the page is summed once, and the rows of the page add to it: nothing is kept on the account's row,
# which would make a merchant's payments wait for each other.
_PAGE = """
WITH page AS (
    SELECT p.id, p.entry_id, p.amount_minor, e.booked_date, e.at, e.kind, e.subject_kind, e.subject_id, e.memo
    FROM ledger_posting p
    JOIN ledger_journalentry e ON e.merchant_id = p.merchant_id AND e.id = p.entry_id
    WHERE p.merchant_id = %(merchant)s AND e.merchant_id = %(merchant)s AND p.account_id = %(account)s
      AND e.booked_date >= %(first)s AND e.booked_date <= %(last)s
      AND (e.booked_date, p.id) {side} (%(day)s, %(key)s)
    ORDER BY e.booked_date {order}, p.id {order} LIMIT %(limit)s
), start AS (
    SELECT booked_date, id FROM page ORDER BY booked_date, id LIMIT 1
), before AS (
    SELECT COALESCE(sum(p.amount_minor), 0) AS total
    FROM start, ledger_posting p
    JOIN ledger_journalentry e ON e.merchant_id = p.merchant_id AND e.id = p.entry_id
    WHERE p.merchant_id = %(merchant)s AND e.merchant_id = %(merchant)s AND p.account_id = %(account)s
      AND (e.booked_date, p.id) < (start.booked_date, start.id)
)
SELECT page.*, (before.total + sum(page.amount_minor) OVER (ORDER BY page.booked_date, page.id))::bigint
FROM page, before ORDER BY page.booked_date, page.id
"""
_FORWARDS = _PAGE.format(side=">", order="ASC")
_BACKWARDS = _PAGE.format(side="<", order="DESC")


@dataclass(frozen=True, slots=True)
class PostingRow:
    """One posting; ``balance`` is the account's after it, in fen, debit positive."""

    pk: int
    entry_id: int
    amount: int
    booked_date: date
    at: datetime
    kind: str
    subject_kind: str
    subject_id: int
    memo: str
    balance: int

    @property
    def debit(self) -> int | None:
        """The amount where it is a debit."""
        return self.amount if self.amount > 0 else None

    @property
    def credit(self) -> int | None:
        """The amount without sign where it is a credit."""
        return -self.amount if self.amount < 0 else None


@dataclass(frozen=True, slots=True)
class AccountPage:
    """Some postings, oldest first; ``earlier`` and ``later`` are the places of the neighbouring pages, "" where none is."""

    rows: list[PostingRow] = field(default_factory=list)
    earlier: str = ""
    later: str = ""


def get_account(account_id: int) -> Account:
    """One account. Raises Account.DoesNotExist."""
    account: Account = Account.objects.get(pk=account_id)
    return account


def page_account(
    account_id: int,
    period: Period,
    *,
    after: str = "",
    before: str = "",
    size: int = PAGE_SIZE,
) -> AccountPage:
    """The postings of the period after (or before) a place, oldest first. One query. Raises BadCursor."""
    backwards = bool(before)
    place: Place = decode(before) or decode(after) or (date.min, 0)
    first, last = period.bounds
    found = sql.every(
        _BACKWARDS if backwards else _FORWARDS,
        {
            "merchant": current_merchant_id(),
            "account": account_id,
            "first": first,
            "last": last,
            "day": place[0],
            "key": place[1],
            "limit": size + 1,
        },
    )
    rows = [PostingRow(*row) for row in found]
    more = len(rows) > size
    rows = rows[-size:] if backwards else rows[:size]
    if not rows:
        return AccountPage()
    has_earlier = more if backwards else bool(after)
    has_later = backwards or more
    return AccountPage(
        rows=rows,
        earlier=encode((rows[0].booked_date, rows[0].pk)) if has_earlier else "",
        later=encode((rows[-1].booked_date, rows[-1].pk)) if has_later else "",
    )
