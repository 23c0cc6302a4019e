"""UnionPay's calendar: a settlement day runs from 23:00 of the evening before to 23:00 (dossier 1.8, 1.9)."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

from apps.simulator import clock
from apps.simulator.models import Order, Refund

CUT = time(23)


def settlement_day(at: datetime) -> date:
    """The settlement day that holds an instant."""
    local = at.astimezone(clock.BEIJING)
    return local.date() + timedelta(days=1) if local.time() >= CUT else local.date()


def settlement_period(day: date) -> tuple[datetime, datetime]:
    """The half-open period [from, to) of a settlement day, in UTC."""
    end = datetime.combine(day, CUT, tzinfo=clock.BEIJING)
    return (end - timedelta(days=1)).astimezone(UTC), end.astimezone(UTC)


def day_of_order(order: Order) -> date:
    """When a payment settles: by its time of payment, a day later under the fault ``settles_next_day``."""
    return settlement_day(order.paid_at or order.created_at) + timedelta(
        days=order.extra.get("settle_days", 0)
    )


def day_of_refund(refund: Refund) -> date:
    """When a refund settles: by the time it was done, which may be another day than it was accepted on."""
    return settlement_day(refund.finished_at or refund.created_at) + timedelta(
        days=refund.request.get("settle_days", 0)
    )


def read_time(text: str) -> datetime:
    """``YYYYMMDDhhmmss`` in Beijing time, as aware UTC. Raises ValueError."""
    if len(text) != 14 or not text.isdecimal():
        raise ValueError(text)
    return datetime.strptime(f"{text}+0800", "%Y%m%d%H%M%S%z").astimezone(UTC)


def write_time(at: datetime) -> str:
    """``YYYYMMDDhhmmss`` in Beijing time."""
    return at.astimezone(clock.BEIJING).strftime("%Y%m%d%H%M%S")


def write_trace_time(at: datetime) -> str:
    """``MMDDhhmmss`` in Beijing time: the platform leaves the year out."""
    return at.astimezone(clock.BEIJING).strftime("%m%d%H%M%S")
