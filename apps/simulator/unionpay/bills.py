"""Fetching a settlement day's file: txnType 76, from about nine o'clock of the next day (dossier 1.9)."""

from __future__ import annotations

import base64
import re
import zlib
from datetime import UTC, date, datetime, time, timedelta

from django.conf import settings
from django.db.models import Min

from apps.simulator import books, clock
from apps.simulator.models import Merchant, Order
from apps.simulator.unionpay import bill_files, days, wire
from apps.simulator.unionpay.transactions import Call, Handler, sent_now
from apps.simulator.unionpay.wire import Refusal

SETTLE_DATE = re.compile(r"[01][0-9][0-3][0-9]")
#: The request names no year, so nothing older than a year can be asked for; how much less is not documented.
KEPT = timedelta(days=300)


def download(call: Call) -> dict[str, str]:
    """76/01: the file, packed twice and in base64. 98 if there is none: not yet, too old, before the account's time."""
    fields = call.fields
    if fields["bizType"] != "000000" or fields.get("fileType") != "00":
        raise Refusal("10", f"{wire.MESSAGES['10']}：fileType")
    sent_now(fields)
    day = asked_day(wire.matching(fields, "settleDate", SETTLE_DATE), now=call.now)
    if (
        day is None
        or call.fault("bill_late") is not None
        or call.now < ready_at(day)
        or call.now - ready_at(day) > KEPT
        or day < first_day(call.merchant)
    ):
        raise Refusal("98")
    books.settle_due(now=call.now)
    rows = bill_files.with_faults(bill_files.rows_of(call.merchant, day), day)
    if not rows and call.fault("bill_missing_when_empty") is not None:
        raise Refusal("98")
    content = zlib.compress(bill_files.archive(call.merchant, day, rows))
    return {
        "fileName": f"{call.merchant.merchant_no}_{day:%Y%m%d}.zip",
        "fileContent": base64.b64encode(content).decode("ascii"),
    }


def asked_day(text: str, *, now: datetime) -> date | None:
    """The newest settlement day of that MMDD which has begun; None if the calendar has no such day."""
    today = days.settlement_day(now)
    for year in (today.year, today.year - 1):
        try:
            day = date(year, int(text[:2]), int(text[2:]))
        except ValueError:
            continue
        if day <= today:
            return day
    return None


def ready_at(day: date) -> datetime:
    """From when the day's file is served: nine o'clock of the day after, or earlier by the settings."""
    hour = min(settings.SIMULATOR_BILL_HOUR, 9)
    return datetime.combine(day + timedelta(days=1), time(hour), tzinfo=clock.BEIJING).astimezone(
        UTC
    )


def first_day(merchant: Merchant) -> date:
    """The first settlement day of an account, or of the history written into its books."""
    oldest = Order.objects.filter(merchant=merchant).aggregate(at=Min("created_at"))["at"]
    return days.settlement_day(min(oldest or merchant.created_at, merchant.created_at))


FILES: dict[tuple[str, str], Handler] = {("76", "01"): download}
