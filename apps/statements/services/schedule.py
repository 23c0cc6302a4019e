"""When each platform's bills may be asked for, and when to ask again. Pure: nothing here reads the clock or the database."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

from apps.core.clock import CHINA
from apps.platforms.gateway import Platform

#: When a day's bill may first be asked for on the next day, China time, with a margin over the platform's own promise: WeChat
#: Pay after 10:00, Alipay and UnionPay about 09:00 (Alipay's often slips). Shouqianba has no bills: its payments are asked
#: about, once those that were under way at midnight have come to their end.
READY_AT = {
    Platform.WECHATPAY: time(10, 5),
    Platform.ALIPAY: time(10, 5),
    Platform.UNIONPAY: time(9, 10),
    Platform.SHOUQIANBA: time(0, 40),
}
#: On the first day, until noon and from then until the evening.
RETRY = timedelta(minutes=30)
RETRY_LATER = timedelta(hours=1)
_NOON = time(12)
_EVENING = time(20)
#: On the days after it.
_LOOKS = (time(10, 5), time(14), time(18))
#: After this many days without a bill the portal stops asking; it can still be uploaded.
GIVE_UP = timedelta(days=7)


def _at(day: date, local: time) -> datetime:
    return datetime.combine(day, local, tzinfo=CHINA).astimezone(UTC)


def ready_at(platform: Platform | str, *, day: date) -> datetime:
    """When the bill of ``day`` may first be asked for."""
    return _at(day + timedelta(days=1), READY_AT[Platform(platform)])


def next_try(platform: Platform | str, *, day: date, now: datetime) -> datetime | None:
    """When to ask again for the bill of ``day`` after a try at ``now`` in vain; None when it is given up.

    Each half-hour until noon of the day after, each hour until its evening, three times a day for the rest of a week.
    """
    local = now.astimezone(CHINA)
    first = day + timedelta(days=1)
    ready = ready_at(platform, day=day)
    if now < ready:
        return ready
    if local.date() == first:
        if local.time() < _NOON:
            return now + RETRY
        if local.time() < _EVENING:
            return now + RETRY_LATER
    for date_ in (local.date(), local.date() + timedelta(days=1)):
        if date_ == first:
            continue
        if date_ - day > GIVE_UP:
            return None
        for look in _LOOKS:
            if _at(date_, look) > now:
                return _at(date_, look)
    return None
