"""Watching the codes: what is found odd becomes alerts."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from apps.core import outbox, sql
from apps.core.audit import Actor
from apps.core.tenancy import current_merchant_id
from apps.merchants.models import Merchant
from apps.qrcodes.selectors import odd_scans
from apps.qrcodes.services import raise_alerts
from apps.reports.selectors import odd_payments

#: The due task of one merchant; its subject is the merchant.
WATCH: Final = "reports.watch_codes"
#: Every merchant that has an account: without one nothing is paid by a code.
_PLAN = outbox.enqueuing(
    f"SELECT '{WATCH}', merchant_id, merchant_id, %(now)s::timestamptz FROM core_door"  # noqa: S608 - a constant
    " WHERE kind = 'account' GROUP BY merchant_id"
)


def plan_watching(*, now: datetime) -> int:
    """Have the codes of every merchant looked at. How many merchants. One statement, outside every scope."""
    return sql.run(_PLAN, {"now": now})


def watch_codes(*, now: datetime) -> int:
    """Look at all codes of the merchant in scope and raise alerts about odd use. How many are new."""
    merchant = Merchant.objects.get(pk=current_merchant_id())
    found = [*odd_scans(now=now, day_starts_at=merchant.day_starts_at), *odd_payments(now=now)]
    return raise_alerts(found, actor=Actor.system("watch"), now=now)
