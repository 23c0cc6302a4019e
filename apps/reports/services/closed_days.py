"""Exports of a closed day are not made anew: the bytes that were kept when it was closed are given out."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Final

from apps.core.tenancy import current_scope
from apps.ledger.selectors import Period
from apps.reconciliation.models import DayFile
from apps.reconciliation.selectors import kept_file
from apps.reports.models import TransactionKind
from apps.reports.selectors import TransactionFilters

#: The form in which the files of a closed day are written.
PROFILE: Final = "zh"
ENCODING: Final = "utf-8-sig"


def kept_export(
    filters: TransactionFilters, *, kind: str, headers: str, encoding: str
) -> DayFile | None:
    """The kept file that answers an export of exactly one closed day in the usual form; None: it is made anew.

    ``kind``: ``transactions`` or ``summary``. Members limited to stores get their own rows, never the whole day's file.
    """
    day = filters.date_from
    if day is None or (headers, encoding) != (PROFILE, ENCODING) or not _whole_merchant():
        return None
    bare = TransactionFilters(date_from=day, date_to=day, day_starts_at=filters.day_starts_at)
    asked = replace(filters, booked_only=False)
    if asked == bare:
        return kept_file(day=day, name=kind)
    if kind == "transactions" and asked == replace(bare, kind=TransactionKind.REFUND.value):
        return kept_file(day=day, name="refunds")
    return None


def kept_ledger(period: Period, *, form: str, headers: str, encoding: str) -> DayFile | None:
    """The kept journal file of exactly one closed day in the usual form; None: it is made anew."""
    if form != "csv" or (headers, encoding) != (PROFILE, ENCODING) or not _whole_merchant():
        return None
    day = _only_day(period)
    return None if day is None else kept_file(day=day, name="ledger")


def _only_day(period: Period) -> date | None:
    return period.first if period.first == period.last else None


def _whole_merchant() -> bool:
    return current_scope().all_stores
