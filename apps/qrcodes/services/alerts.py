"""Alerts about odd use: raised from what was found, ended by the look of a person."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from django.db import transaction

from apps.core import audit, sql
from apps.core.audit import Actor
from apps.core.tenancy import current_merchant_id
from apps.qrcodes.models import CodeAlert
from apps.qrcodes.selectors import Finding

#: A member who is looking at one of them at this moment goes first: what they have looked at is then known below.
_HOLD: Final = """
SELECT id FROM qrcodes_codealert
WHERE merchant_id = %(merchant)s AND code_id = ANY(%(codes)s) AND looked_at IS NULL
ORDER BY code_id, kind FOR UPDATE
"""
#: One finding a code and kind, the last to begin. ``xmax`` is 0 in rows that this statement made, and only in those.
#: A day or an hour is told once. Of what has no such measure, nothing that began before the alert was brought up to date
#: for the last time before the look: the member has read that.
_RAISE: Final = """
WITH raised AS (
    INSERT INTO qrcodes_codealert AS alert (merchant_id, code_id, kind, since, opened_at, seen_at, facts, note)
    SELECT code.merchant_id, found.code_id, found.kind, found.since, %(now)s, %(now)s, found.facts::jsonb, ''
    FROM (
        SELECT DISTINCT ON (code_id, kind) * FROM unnest(
            %(codes)s::bigint[], %(kinds)s::text[], %(since)s::timestamptz[], %(facts)s::text[]
        ) AS each (code_id, kind, since, facts)
        ORDER BY code_id, kind, since DESC
    ) AS found
    JOIN qrcodes_qrcode AS code ON code.merchant_id = %(merchant)s AND code.id = found.code_id
    WHERE NOT EXISTS (
        SELECT FROM qrcodes_codealert AS past
        WHERE past.merchant_id = %(merchant)s AND past.code_id = found.code_id AND past.kind = found.kind
            AND past.looked_at IS NOT NULL
            AND CASE WHEN found.kind IN ('surge', 'unpaid') THEN found.since <= past.since ELSE found.since < past.seen_at END
    )
    ORDER BY found.code_id, found.kind
    ON CONFLICT (merchant_id, code_id, kind) WHERE looked_at IS NULL
        DO UPDATE SET seen_at = GREATEST(alert.seen_at, excluded.seen_at), facts = excluded.facts,
            since = GREATEST(alert.since, excluded.since)
    RETURNING alert.code_id, alert.kind, alert.xmax = 0 AS is_new
)
SELECT raised.code_id, raised.kind, code.store_id
FROM raised JOIN qrcodes_qrcode AS code ON code.merchant_id = %(merchant)s AND code.id = raised.code_id
WHERE raised.is_new ORDER BY raised.code_id, raised.kind
"""


class AlreadyLooked(Exception):
    """Somebody has looked at the alert meanwhile."""


@transaction.atomic
def raise_alerts(findings: Sequence[Finding], *, actor: Actor, now: datetime) -> int:
    """Open an alert for each finding, or bring the one that is open up to date. How many are new.

    What was told before somebody last looked at the same kind raises none; findings of codes that are no more are left out.
    Whoever runs it twice, or at the same time, opens nothing twice.
    """
    if not findings:
        return 0
    values = {
        "merchant": current_merchant_id(),
        "now": now,
        "codes": [found.code_id for found in findings],
        "kinds": [found.kind.value for found in findings],
        "since": [found.since for found in findings],
        "facts": [json.dumps(dict(found.facts)) for found in findings],
    }
    hold_open(values)
    made = sql.every(_RAISE, values)
    audit.record_many(
        action="code.alerted",
        subject_kind="code",
        subjects=[(code_id, store_id, {"alert": kind}) for code_id, kind, store_id in made],
        actor=actor,
        at=now,
    )
    return len(made)


def hold_open(values: Mapping[str, Any]) -> None:
    """Hold the open alerts of these codes until the transaction ends."""
    sql.every(_HOLD, values)


@transaction.atomic
def look_at_alert(
    *, alert_id: int, note: str, member_id: int, actor: Actor, now: datetime
) -> CodeAlert:
    """A member has looked at it, with a note of what was found. Raises CodeAlert.DoesNotExist, AlreadyLooked."""
    alerts = CodeAlert.objects.visible("code__store_id").select_related("code")
    alert: CodeAlert = alerts.select_for_update(of=("self",)).get(pk=alert_id)
    if alert.looked_at is not None:
        raise AlreadyLooked(alert_id)
    alert.looked_at, alert.looked_by_id, alert.note = now, member_id, note
    alert.save(update_fields=["looked_at", "looked_by", "note"])
    audit.record(
        action="code.alert_ended",
        subject_kind="code",
        subject_id=alert.code_id,
        store_id=alert.code.store_id,
        actor=actor,
        at=now,
        data={"alert": alert.kind, "reason": note},
    )
    return alert
