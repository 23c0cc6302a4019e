"""What is known of each platform's bills, as data: when a row may slip into the next one, until when, and how fees are rounded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from apps.platforms.gateway import Platform
from apps.reconciliation.models import DifferenceType, Rounding


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformRule:
    """One platform's habits.

    ``payments_slip``, ``refunds_slip``: what happened so long before the end of the platform's day may stand in the next
    day's bill. ``ready_after``: so long after the end of the next day its bill is due. ``limit``: so long after that a row
    that came in no bill is still late, and from then on missing.
    """

    payments_slip: timedelta
    refunds_slip: timedelta
    ready_after: timedelta
    limit: timedelta = timedelta(days=1)
    rounding: Rounding = Rounding.HALF_UP


_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)

#: Bills are ready from nine or ten in the morning; two hours more are granted. WeChat bills a refund by when it was
#: accepted, as our books do; Alipay and UnionPay by when it was done, which for a bank card may be a day later.
RULES: Final[Mapping[Platform, PlatformRule]] = {
    Platform.WECHATPAY: PlatformRule(
        payments_slip=_HOUR, refunds_slip=_HOUR, ready_after=12 * _HOUR
    ),
    Platform.ALIPAY: PlatformRule(payments_slip=_HOUR, refunds_slip=_DAY, ready_after=12 * _HOUR),
    # Its day ends at 23:00.
    Platform.UNIONPAY: PlatformRule(payments_slip=_HOUR, refunds_slip=_DAY, ready_after=13 * _HOUR),
    Platform.SHOUQIANBA: PlatformRule(
        payments_slip=_HOUR, refunds_slip=_HOUR, ready_after=12 * _HOUR
    ),
}


@dataclass(frozen=True, slots=True)
class Phase:
    """What ours that no bill has is now, and when that ends by itself (None: only a bill can end it)."""

    type: DifferenceType
    due_at: datetime | None


def phase(rule: PlatformRule, *, next_ends: datetime, next_is_here: bool, now: datetime) -> Phase:
    """Where the waiting for one of ours stands that may have slipped into the next bill.

    ``next_ends``: the end of the next day of the platform. Expected until the next bill is here or overdue, then late; from
    the limit on it is missing, but never before the next bill has been seen.
    """
    bill_due = next_ends + rule.ready_after
    if not next_is_here:
        if now < bill_due:
            return Phase(DifferenceType.EXPECTED, bill_due)
        return Phase(DifferenceType.LATE, None)
    if now < bill_due + rule.limit:
        return Phase(DifferenceType.LATE, bill_due + rule.limit)
    return Phase(DifferenceType.MISSING_THERE, None)
