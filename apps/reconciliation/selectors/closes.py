"""Reading closings: the list of days, one day, its files."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from apps.core import sql
from apps.core.tenancy import current_merchant_id
from apps.ledger.models import BusinessDay
from apps.ledger.selectors import get_day
from apps.reconciliation.models import DayClose, DayFile, DayReopening, ReopeningState


@dataclass(frozen=True, slots=True)
class DayLine:
    """One business day in the list: whether it is closed, and what is booked on it. Amounts in fen."""

    day: date
    is_closed: bool
    version: int
    payment_count: int
    payment_minor: int
    refund_count: int
    refund_minor: int
    closed_at: datetime | None
    closed_by: str

    @property
    def net_minor(self) -> int:
        """Paid less given back."""
        return self.payment_minor - self.refund_minor

    @property
    def state(self) -> str:
        """``closed``, ``reopened`` or ``open``."""
        return "closed" if self.is_closed else "reopened" if self.version else "open"


# What a closed day holds stands on its closing; only open days are summed.
_MONTH: Final = """
WITH days AS (
    SELECT b.day, b.is_closed, b.version FROM ledger_businessday b
    WHERE b.merchant_id = %(merchant)s AND b.day >= %(since)s AND b.day < %(until)s
), paid AS (
    SELECT p.booked_date AS day, count(*) AS rows, sum(p.amount_minor) AS minor FROM payments_payment p
    WHERE p.merchant_id = %(merchant)s AND p.state = 'succeeded'
      AND p.booked_date = ANY(ARRAY(SELECT day FROM days WHERE NOT is_closed)) GROUP BY p.booked_date
), given AS (
    SELECT r.booked_date AS day, count(*) AS rows, sum(r.amount_minor) AS minor FROM refunds_refund r
    WHERE r.merchant_id = %(merchant)s AND r.state = 'succeeded'
      AND r.booked_date = ANY(ARRAY(SELECT day FROM days WHERE NOT is_closed)) GROUP BY r.booked_date
)
SELECT d.day, d.is_closed, d.version,
    COALESCE(CASE WHEN d.is_closed THEN c.payment_count ELSE paid.rows END, 0),
    COALESCE(CASE WHEN d.is_closed THEN c.payment_minor ELSE paid.minor END, 0)::bigint,
    COALESCE(CASE WHEN d.is_closed THEN c.refund_count ELSE given.rows END, 0),
    COALESCE(CASE WHEN d.is_closed THEN c.refund_minor ELSE given.minor END, 0)::bigint,
    c.closed_at, COALESCE(NULLIF(u.name, ''), u.email, '')
FROM days d
LEFT JOIN reconciliation_dayclose c ON c.merchant_id = %(merchant)s AND c.day = d.day AND c.version = d.version
LEFT JOIN accounts_user u ON u.id = c.closed_by_id
LEFT JOIN paid ON paid.day = d.day
LEFT JOIN given ON given.day = d.day
ORDER BY d.day DESC
"""


def list_business_days(*, since: date, until: date) -> list[DayLine]:
    """The business days in ``[since, until)`` on which anything was booked or closed, newest first. One query."""
    values = {"merchant": current_merchant_id(), "since": since, "until": until}
    return [DayLine(*row) for row in sql.every(_MONTH, values)]


def first_business_day() -> date | None:
    """The first day on which anything was booked or closed."""
    found: date | None = BusinessDay.objects.order_by("day").values_list("day", flat=True).first()
    return found


@dataclass(frozen=True, slots=True)
class Closing:
    """One version of a day's closing with its files and the wishes to open it again."""

    close: DayClose
    files: list[DayFile]
    reopenings: list[DayReopening]

    @property
    def is_written(self) -> bool:
        """Whether all its files are there."""
        return len(self.files) >= len(self.close.file_names)

    @property
    def waiting(self) -> DayReopening | None:
        """The wish that waits for confirmation."""
        states = (row for row in self.reopenings if row.state == ReopeningState.WAITING)
        return next(states, None)


@dataclass(frozen=True, slots=True)
class DayPage:
    """A business day: its row in the ledger and its closings, newest first."""

    row: BusinessDay
    closings: list[Closing]

    @property
    def current(self) -> Closing | None:
        """The closing in force; None while the day is open."""
        if not self.row.is_closed:
            return None
        return next((c for c in self.closings if c.close.version == self.row.version), None)


def day_page(day: date) -> DayPage:
    """A day with all its closings. Four queries."""
    row = get_day(day)
    closes = list(DayClose.objects.filter(day=day).select_related("closed_by").order_by("-version"))
    files: dict[int, list[DayFile]] = {}
    reopenings: dict[int, list[DayReopening]] = {}
    if closes:
        ids = [close.pk for close in closes]
        for file in DayFile.objects.filter(close_id__in=ids).order_by("pk"):
            files.setdefault(file.close_id, []).append(file)
        asked = DayReopening.objects.filter(close_id__in=ids).select_related("requested_by")
        for reopening in asked.order_by("pk"):
            reopenings.setdefault(reopening.close_id, []).append(reopening)
    return DayPage(
        row,
        [
            Closing(close, _ordered(close, files.get(close.pk, [])), reopenings.get(close.pk, []))
            for close in closes
        ],
    )


def _ordered(close: DayClose, files: list[DayFile]) -> list[DayFile]:
    place = {name: number for number, name in enumerate(close.file_names)}
    return sorted(files, key=lambda file: place.get(file.name, len(place)))


def get_day_file(file_id: int) -> DayFile:
    """One kept file. Raises DayFile.DoesNotExist."""
    found: DayFile = DayFile.objects.select_related("close").get(pk=file_id)
    return found


def get_reopening(reopening_id: int) -> DayReopening:
    """One wish to open a day again, with its closing. Raises DayReopening.DoesNotExist."""
    found: DayReopening = DayReopening.objects.select_related("close").get(pk=reopening_id)
    return found


def kept_file(*, day: date, name: str) -> DayFile | None:
    """The file of this name of the closing in force; None while the day is open or the file is not written yet."""
    row = get_day(day)
    if not row.is_closed:
        return None
    found: DayFile | None = (
        DayFile.objects.filter(close__day=day, close__version=row.version, name=name)
        .select_related("close")
        .first()
    )
    return found


def count_later_closes(day: date) -> int:
    """How many days after this one are closed."""
    return BusinessDay.objects.filter(day__gt=day, is_closed=True).count()
