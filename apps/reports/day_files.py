"""The files of a closed day: what the export page gives in its usual form, and the report.

Each holds nothing but what is booked on the day, which can no longer change.
"""

from __future__ import annotations

from typing import ClassVar, Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from typing_extensions import override

from apps.ledger.selectors import Period
from apps.reconciliation.day_files import DayFileMaker, MadeFile
from apps.reconciliation.models import DayClose
from apps.reports import services
from apps.reports.models import TransactionKind
from apps.reports.selectors import TransactionFilters, sum_transactions
from apps.reports.services.closed_days import ENCODING, PROFILE

_CSV: Final = "text/csv; charset=utf-8"


def booked(close: DayClose, *, kind: str = "") -> TransactionFilters:
    """The payments and refunds that are booked on a closed day."""
    return TransactionFilters(
        date_from=close.day,
        date_to=close.day,
        kind=kind,
        booked_only=True,
        day_starts_at=close.day_starts_at,
    )


class Transactions(DayFileMaker):
    """Payments and refunds; the control sum is their net."""

    name = "transactions"
    label: str | Promise = _("Payments and refunds")
    ending = "csv"
    content_type = _CSV
    kind: ClassVar[str] = ""

    @override
    def make(self, close: DayClose) -> MadeFile:
        filters = booked(close, kind=self.kind)
        sums = sum_transactions(filters)
        pieces = services.export_transactions(filters, headers=PROFILE, encoding=ENCODING)
        return MadeFile(pieces, sums.rows, sums.net_minor)


class Refunds(Transactions):
    """Refunds alone; the control sum is negative."""

    name = "refunds"
    label = pgettext_lazy("day file", "Refunds")
    kind = TransactionKind.REFUND.value


class Differences(DayFileMaker):
    """The differences and what became of them; the control sum is what they add to bill − books."""

    name = "differences"
    label = pgettext_lazy("day file", "Differences")
    ending = "csv"
    content_type = _CSV

    @override
    def make(self, close: DayClose) -> MadeFile:
        rows, gap = services.sum_differences(close.run_ids)
        pieces = services.export_differences(
            close.run_ids, merchant_id=close.merchant_id, headers=PROFILE, encoding=ENCODING
        )
        return MadeFile(pieces, rows, gap)


class Journal(DayFileMaker):
    """The day's postings, a row each; the control sum is that of the debits."""

    name = "ledger"
    label = pgettext_lazy("day file", "Journal")
    ending = "csv"
    content_type = _CSV

    @override
    def make(self, close: DayClose) -> MadeFile:
        period = Period(close.day, close.day)
        pieces = services.export_ledger(
            period, form="csv", headers=PROFILE, encoding=ENCODING, now=close.closed_at
        )
        return MadeFile(pieces, services.count_postings(period), close.debit_minor)


class Summary(DayFileMaker):
    """What the payments and refunds add up to; the control sum is their net."""

    name = "summary"
    label = pgettext_lazy("day file", "Summary")
    ending = "csv"
    content_type = _CSV

    @override
    def make(self, close: DayClose) -> MadeFile:
        content = services.export_summary(
            booked(close), headers=PROFILE, encoding=ENCODING, now=close.closed_at
        )
        return MadeFile([content], None, close.net_minor)


class Report(DayFileMaker):
    """The report for the binder; it names the hashes of the others, so it comes last."""

    name = "report"
    label = _("Report")
    ending = "pdf"
    content_type = "application/pdf"

    @override
    def make(self, close: DayClose) -> MadeFile:
        return MadeFile([services.render_report(close, headers=PROFILE)], None, close.net_minor)


MAKERS: Final = (Transactions(), Refunds(), Differences(), Journal(), Summary(), Report())
