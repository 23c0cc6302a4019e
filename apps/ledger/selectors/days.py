"""Reading business days."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from apps.core import clock
from apps.core.tenancy import current_merchant_id
from apps.ledger.models import BusinessDay
from apps.merchants.models import Merchant


def is_closed(day: date) -> bool:
    """Whether this business day of the merchant is closed: nothing more is booked into it, nothing about it undone."""
    return BusinessDay.objects.filter(day=day, is_closed=True).exists()


def get_day(day: date) -> BusinessDay:
    """The day's row; an open one that is not stored where nothing was booked on it yet."""
    return BusinessDay.objects.filter(day=day).first() or BusinessDay(day=day)


def day_for(at: datetime) -> date:
    """The business day that something of instant ``at`` would be booked on now; ``services.booking_date`` decides."""
    starts = Merchant.objects.values_list("day_starts_at", flat=True).get(pk=current_merchant_id())
    day = clock.business_date(at, starts)
    closed = set(
        BusinessDay.objects.filter(day__gte=day, is_closed=True).values_list("day", flat=True)
    )
    while day in closed:
        day += timedelta(days=1)
    return day
