"""Rows as pages show them: a transaction with the names it goes by."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from apps.core import clock
from apps.core.names import speaks_english
from apps.reports import wording
from apps.reports.models import Transaction
from apps.reports.selectors import Names


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a list."""

    transaction: Transaction
    store: str
    code: str
    account: str

    @property
    def is_refund(self) -> bool:
        """Whether the money went back."""
        return self.transaction.kind == "refund"

    @property
    def moved(self) -> bool:
        """Whether money really moved."""
        return self.transaction.effective_minor != 0

    @property
    def other_day(self) -> date | None:
        """The business day, where it is not the calendar day on which the money moved."""
        row = self.transaction
        at = row.done_at or row.created_at
        return row.booked_date if row.booked_date != clock.business_date(at) else None

    @property
    def shown_state(self) -> str:
        """The state, and for a payment how much of it went back."""
        row = self.transaction
        if row.kind == "payment" and row.state == "succeeded" and row.refunded_minor:
            whole = row.refunded_minor >= row.signed_minor
            return "refunded" if whole else "partly_refunded"
        return row.state


def english() -> bool:
    """Whether the page names things in English."""
    return speaks_english()


def rows_of(transactions: Iterable[Transaction], names: Names) -> list[Row]:
    """Transactions with their names; a name out of scope stays empty."""
    words = english()
    found = []
    for row in transactions:
        store = names.stores.get(row.store_id) if row.store_id else None
        code = names.codes.get(row.code_id) if row.code_id else None
        account = names.accounts.get(row.account_id)
        found.append(
            Row(
                row,
                wording.name_of(store, words) if store else "",
                wording.code_name(code, words) if code else "",
                account.label if account else "",
            )
        )
    return found
