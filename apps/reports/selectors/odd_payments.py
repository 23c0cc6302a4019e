"""What is odd about payments by codes: none though many scan, or at an hour when nobody pays."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from apps.core import sql
from apps.core.tenancy import current_merchant_id
from apps.qrcodes.models import AlertKind
from apps.qrcodes.oddities import (
    CLOSED_GRACE_MINUTES,
    HABIT_DAYS,
    HABIT_PAYMENTS,
    ODD_PAYMENTS,
    UNPAID_GRACE_MINUTES,
    UNPAID_SCANS,
)
from apps.qrcodes.selectors import Finding

#: How far back it is looked each time, so that a worker that was away for a night misses nothing.
LOOK_BACK: Final = timedelta(hours=24)

_UNPAID = f"""
WITH busy AS (
    SELECT code_id, date_trunc('hour', at) AS hour, count(*) AS scans, max(at) AS last
    FROM qrcodes_scan WHERE merchant_id = %(merchant)s AND at >= date_trunc('hour', %(since)s::timestamptz) AND at < %(now)s
    GROUP BY 1, 2 HAVING count(*) >= {UNPAID_SCANS}
)
SELECT code_id, hour, scans, last FROM busy
WHERE busy.last + interval '{UNPAID_GRACE_MINUTES} minutes' <= %(now)s AND NOT EXISTS (
    SELECT FROM payments_payment AS payment
    WHERE payment.merchant_id = %(merchant)s AND payment.code_id = busy.code_id AND payment.state = 'succeeded'
        AND payment.paid_at >= busy.hour
        AND payment.paid_at < busy.hour + interval '{60 + UNPAID_GRACE_MINUTES} minutes'
        -- For the index: what is paid in that time was begun at most three hours before it.
        AND payment.created_at >= busy.hour - interval '3 hours'
        AND payment.created_at < busy.hour + interval '{60 + UNPAID_GRACE_MINUTES} minutes'
)
ORDER BY code_id, hour
"""  # noqa: S608 - nothing in it but numbers of oddities
#: Open at a moment: the version in force then has no hours, or one of that weekday's spans holds the minute.
_IS_OPEN = """
EXISTS (
    SELECT FROM jsonb_array_elements(terms.hours -> (extract(isodow FROM {at} AT TIME ZONE 'Asia/Shanghai')::int - 1)) AS span
    WHERE (extract(hour FROM {at} AT TIME ZONE 'Asia/Shanghai') * 60
           + extract(minute FROM {at} AT TIME ZONE 'Asia/Shanghai'))::int
        BETWEEN (span ->> 0)::int AND (span ->> 1)::int - 1
)
"""
#: What the member who looked last had not been told: whoever looks has read what was found up to ``seen_at``, and no more.
_UNTOLD = """
paid.paid_at >= COALESCE((
    SELECT max(past.seen_at) FROM qrcodes_codealert AS past
    WHERE past.merchant_id = %(merchant)s AND past.code_id = paid.code_id AND past.kind = 'hours' AND past.looked_at IS NOT NULL
), '-infinity'::timestamptz)
"""
_GRACE = f"(paid.paid_at - interval '{CLOSED_GRACE_MINUTES} minutes')"
_PAID = """
WITH paid AS (
    SELECT code_id, paid_at, amount_minor, extract(hour FROM paid_at AT TIME ZONE 'Asia/Shanghai')::int AS hour
    FROM payments_payment
    WHERE merchant_id = %(merchant)s AND code_id IS NOT NULL AND source = 'portal' AND state = 'succeeded'
        AND created_at >= %(habit)s AND created_at < %(now)s AND paid_at < %(now)s
)
"""
_CLOSED = f"""
{_PAID}
SELECT paid.code_id, min(paid.paid_at), max(paid.paid_at), count(*), sum(paid.amount_minor)::bigint
FROM paid JOIN LATERAL (
    SELECT version.hours FROM qrcodes_codeversion AS version
    WHERE version.merchant_id = %(merchant)s AND version.code_id = paid.code_id
        AND version.starts_at <= paid.paid_at AND version.withdrawn_at IS NULL
    ORDER BY version.starts_at DESC, version.number DESC LIMIT 1
) AS terms ON terms.hours <> '[]'::jsonb
WHERE paid.paid_at >= %(since)s AND NOT {_IS_OPEN.format(at="paid.paid_at")} AND NOT {_IS_OPEN.format(at=_GRACE)}
    AND {_UNTOLD}
GROUP BY paid.code_id ORDER BY paid.code_id
"""  # noqa: S608 - as above
_UNUSUAL = f"""
{_PAID}, habits AS (
    SELECT code_id, count(*) AS payments, array_agg(DISTINCT hour) AS hours
    FROM paid WHERE paid_at < %(since)s GROUP BY code_id HAVING count(*) >= {HABIT_PAYMENTS}
)
SELECT paid.code_id, min(paid.paid_at), max(paid.paid_at), count(*), sum(paid.amount_minor)::bigint, max(habits.payments)
FROM paid JOIN habits ON habits.code_id = paid.code_id
WHERE paid.paid_at >= %(since)s
    AND NOT habits.hours && ARRAY[paid.hour, (paid.hour + 1) %% 24, (paid.hour + 23) %% 24]
    AND (
        SELECT version.hours FROM qrcodes_codeversion AS version
        WHERE version.merchant_id = %(merchant)s AND version.code_id = paid.code_id
            AND version.starts_at <= paid.paid_at AND version.withdrawn_at IS NULL
        ORDER BY version.starts_at DESC, version.number DESC LIMIT 1
    ) = '[]'::jsonb
    AND {_UNTOLD}
GROUP BY paid.code_id HAVING count(*) >= {ODD_PAYMENTS} ORDER BY paid.code_id
"""  # noqa: S608 - as above


def odd_payments(*, now: datetime) -> list[Finding]:
    """All that is odd about payments by the merchant's codes in the last day. Three statements.

    Payments at odd hours are counted from the last look at the code's alert about them on: what was looked at is told no more.
    """
    values: dict[str, Any] = {
        "merchant": current_merchant_id(),
        "now": now,
        "since": now - LOOK_BACK,
        "habit": now - LOOK_BACK - timedelta(days=HABIT_DAYS),
    }
    found = [
        Finding(code_id, AlertKind.UNPAID, hour, {"scans": scans, "hour": hour.isoformat()})
        for code_id, hour, scans, _last in sql.every(_UNPAID, values)
    ]
    # The day before is looked at for what is odd, the weeks before it for what is usual.
    recent = values | {"habit": now - LOOK_BACK - timedelta(hours=3)}
    for code_id, first, last, count, minor in sql.every(_CLOSED, recent):
        found.append(_at_odd_hours(code_id, first, last, count, minor, rule="closed"))
    for code_id, first, last, count, minor, _habit in sql.every(_UNUSUAL, values):
        found.append(_at_odd_hours(code_id, first, last, count, minor, rule="unusual"))
    return found


def _at_odd_hours(
    code_id: int, first: datetime, last: datetime, count: int, minor: int, *, rule: str
) -> Finding:
    facts: dict[str, int | str] = {
        "rule": rule,
        "count": count,
        "minor": minor,
        "first": first.isoformat(),
        "last": last.isoformat(),
    }
    return Finding(code_id, AlertKind.HOURS, first, facts)
