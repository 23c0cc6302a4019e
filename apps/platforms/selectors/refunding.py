"""Until when a payment may be refunded, into how many parts, and from when the next part may be sent.

The one place that puts a platform's own limits and the account's agreement together.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from apps.core import clock
from apps.platforms import registry
from apps.platforms.gateway import day_after
from apps.platforms.models import PlatformAccount
from apps.platforms.selectors.agreements import in_force, refund_window_on, versions_by_account


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What may still be refunded of one payment, and when; None: there is no such limit.

    ``ends_at``: from then on nothing. ``agreed_days``: the agreement's window, where it is what ends first. ``parts_left`` of
    ``parts``. ``next_at``: when the next part may be sent, if not at once. ``cancel_until``: until then the whole goes back as a
    cancellation, which is faster.
    """

    ends_at: datetime | None = None
    agreed_days: int | None = None
    parts: int | None = None
    parts_left: int | None = None
    next_at: datetime | None = None
    cancel_until: datetime | None = None

    def is_over(self, now: datetime) -> bool:
        """Whether the time for refunds has ended."""
        return self.ends_at is not None and now >= self.ends_at

    def refuses(self, now: datetime) -> str:
        """Why a refund asked for now would not be taken: ``window``, ``parts``, or "" where it is."""
        if self.is_over(now):
            return "window"
        return "parts" if self.parts_left == 0 else ""


def agreed_end(paid_at: datetime, days: int) -> datetime:
    """When the window of an agreement ends: with the end, in China, of the day so many days after the payment's."""
    return day_after(clock.business_date(paid_at) + timedelta(days=days))


def allowance(
    *,
    account: PlatformAccount,
    paid_at: datetime,
    parts_used: int,
    last_sent_at: datetime | None,
    parts_ahead: int,
    is_whole: bool,
    now: datetime,
) -> Allowance:
    """What a platform still takes of a payment; one query where the account has agreements.

    ``last_sent_at``: when the latest of its refunds went to the platform; ``parts_ahead``: those that wait to go;
    ``is_whole``: nothing of it was refunded or asked for.
    """
    limits = registry.refund_limits_of(account.platform)
    days = refund_window_on(account, clock.business_date(now))
    ends_at = limits.ends_at(paid_at)
    agreed = None if days is None else agreed_end(paid_at, days)
    if agreed is None or (ends_at is not None and ends_at <= agreed):
        days = None
    else:
        ends_at = agreed
    next_at = None
    if limits.gap is not None and (last_sent_at is not None or parts_ahead):
        first = now if last_sent_at is None else max(now, last_sent_at + limits.gap)
        next_at = first + limits.gap * parts_ahead
    cancel_until = None
    if is_whole and account.cancels_same_day:
        starts = registry.bill_day_starts_of(account.platform)
        cancel_until = limits.cancel_ends_at(paid_at, day_starts=starts)
    return Allowance(
        ends_at=ends_at,
        agreed_days=days,
        parts=limits.parts,
        parts_left=None if limits.parts is None else max(0, limits.parts - parts_used),
        next_at=next_at if next_at is not None and next_at > now else None,
        cancel_until=cancel_until if cancel_until is not None and now < cancel_until else None,
    )


def gap_of(account: PlatformAccount) -> timedelta | None:
    """The least time that a platform wants between two refunds of one payment."""
    return registry.refund_limits_of(account.platform).gap


def agreed_windows(account_ids: Collection[int], day: date) -> dict[int, int]:
    """The windows in days that agreements in force on a day name, by account; one query."""
    found = {}
    for pk, versions in versions_by_account(account_ids).items():
        agreement = in_force(versions, day)
        if agreement is not None and agreement.refund_window_days is not None:
            found[pk] = agreement.refund_window_days
    return found
