"""What a code may take: held under the code's lock, so that two payers at once do not pass it together."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from django.db.models import Count, Q, Sum

from apps.core.clock import business_date, business_period
from apps.core.money import Money
from apps.merchants.models import Merchant
from apps.payments.models import Order, OrderState
from apps.qrcodes.models import CodeVersion, QRCode


class Limit(StrEnum):
    """Which limit of a code is meant."""

    DAY = "day"
    TOTAL = "total"


@dataclass(frozen=True, slots=True)
class Room:
    """What a code can still take: ``left`` None for any amount. ``limit`` is the one that leaves least."""

    left: Money | None
    limit: Limit | None = None

    @property
    def is_none(self) -> bool:
        """Whether nothing more can be paid."""
        return self.left is not None and self.left.minor <= 0


class LimitReached(Exception):
    """The amount is more than what the code may still take."""

    def __init__(self, room: Room) -> None:
        super().__init__(str(room))
        self.room = room


def has_limits(version: CodeVersion) -> bool:
    """Whether anything has to be counted before a payment by this version."""
    return any(
        limit is not None
        for limit in (
            version.day_limit_minor,
            version.day_limit_count,
            version.total_limit_minor,
            version.total_limit_count,
        )
    )


def room_of(version: CodeVersion, *, merchant: Merchant, now: datetime) -> Room:
    """What a code can still take at ``now``, by the limits of this version.

    Counted is what was paid, refunded or not, and what can still be paid. A day is the merchant's business day, by when the order
    was opened. One statement, none where there are no limits.
    """
    if not has_limits(version):
        return Room(None)
    day = business_date(now, merchant.day_starts_at)
    begins, _ends = business_period(day, merchant.day_starts_at)
    orders = Order.objects.filter(
        Q(state=OrderState.PAID) | Q(state=OrderState.OPEN, expires_at__gt=now),
        code_id=version.code_id,
    )
    if version.total_limit_minor is None and version.total_limit_count is None:
        orders = orders.filter(created_at__gte=begins)
    today = Q(created_at__gte=begins)
    taken = orders.order_by().aggregate(
        total=Sum("amount_minor", default=0),
        count=Count("pk"),
        day_total=Sum("amount_minor", filter=today, default=0),
        day_count=Count("pk", filter=today),
    )
    rooms = [
        *_rooms(
            Limit.DAY,
            version.day_limit_minor,
            version.day_limit_count,
            taken["day_total"],
            taken["day_count"],
        ),
        *_rooms(
            Limit.TOTAL,
            version.total_limit_minor,
            version.total_limit_count,
            taken["total"],
            taken["count"],
        ),
    ]
    bounded = [
        (room.left.minor, place) for place, room in enumerate(rooms) if room.left is not None
    ]
    return rooms[min(bounded)[1]] if bounded else Room(None)


def _rooms(
    limit: Limit, most: int | None, most_count: int | None, total: int, count: int
) -> list[Room]:
    rooms: list[Room] = []
    if most is not None:
        rooms.append(Room(Money(max(0, most - total)), limit))
    if most_count is not None:
        rooms.append(Room(Money(0) if count >= most_count else None, limit))
    return rooms


def keep_within(version: CodeVersion, *, amount: Money, merchant: Merchant, now: datetime) -> None:
    """Hold the code until the transaction ends and see that it may take ``amount``. Raises LimitReached."""
    if not has_limits(version):
        return
    _hold(version.code_id)
    room = room_of(version, merchant=merchant, now=now)
    if room.left is not None and amount.minor > room.left.minor:
        raise LimitReached(room)


def _hold(code_id: int) -> None:
    QRCode.objects.select_for_update(no_key=True).get(pk=code_id)
