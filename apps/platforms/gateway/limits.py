"""What a platform takes refunds of one payment by, known before anybody asks it."""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from apps.core.clock import CHINA


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundLimits:
    """A platform's own limits; None: it names none.

    ``days``: so many times 24 hours after it was paid. ``months``: to the end of the day so many calendar months after the
    day it was paid on, in China. ``parts``: into how many refunds a payment may be split. ``gap``: the least time
    between two of them. ``cancels_until``: where the merchant has it, a whole payment goes back as a cancellation until
    this long after the midnight (China) that ends the day the platform's own day is named by; negative: before it.
    """

    days: int | None = None
    months: int | None = None
    parts: int | None = None
    gap: timedelta | None = None
    cancels_until: timedelta | None = None

    def ends_at(self, paid_at: datetime) -> datetime | None:
        """The moment from which no refund of a payment is taken, None where the platform names none."""
        ends = []
        if self.days is not None:
            ends.append(paid_at + timedelta(days=self.days))
        if self.months is not None:
            ends.append(day_after(months_later(paid_at.astimezone(CHINA).date(), self.months)))
        return min(ends, default=None)

    def cancel_ends_at(self, paid_at: datetime, *, day_starts: timedelta) -> datetime | None:
        """Until when a whole payment is cancelled rather than refunded; ``day_starts`` as ``bill_day_starts``."""
        if self.cancels_until is None:
            return None
        day = (paid_at.astimezone(CHINA) - day_starts).date()
        return day_after(day) + day_starts + self.cancels_until


def months_later(day: date, months: int) -> date:
    """The same day so many months later, or the last of that month where it has no such day."""
    count = day.year * 12 + day.month - 1 + months
    year, month = count // 12, count % 12 + 1
    return date(year, month, min(day.day, calendar.monthrange(year, month)[1]))


def day_after(day: date) -> datetime:
    """The midnight in China that ends a day, in UTC."""
    return datetime.combine(day + timedelta(days=1), time(0), tzinfo=CHINA).astimezone(UTC)
