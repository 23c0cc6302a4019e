"""The audit trail: one call to record what somebody or something did."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection, transaction
from psycopg.types.json import Jsonb

from apps.core import partitions, sql
from apps.core.models import AuditEvent, AuditSeal
from apps.core.tenancy import current_scope

#: Rows are sealed once no transaction that recorded them can still be open.
SEAL_AFTER = timedelta(minutes=5)

_RECORD = """
INSERT INTO core_auditevent (merchant_id, at, actor_id, actor, action, subject_kind, subject_id, store_id, data, ip, user_agent)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
_RECORD_MANY = """
INSERT INTO core_auditevent (merchant_id, at, actor_id, actor, action, subject_kind, subject_id, store_id, data, ip, user_agent)
SELECT %s, %s, %s, %s, %s, %s, seen.id, seen.store_id, seen.data::jsonb, %s, %s
FROM unnest(%s::bigint[], %s::bigint[], %s::text[]) WITH ORDINALITY AS seen (id, store_id, data, place)
ORDER BY seen.place
"""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acted: a member (``user_id`` set) or a part of the system such as ``system:poll``."""

    label: str
    user_id: int | None = None
    ip: str | None = None
    user_agent: str = ""

    @classmethod
    def system(cls, name: str) -> Actor:
        """The portal itself, by the name of the part that acted."""
        return cls(label=f"system:{name}")


def record(
    *,
    action: str,
    subject_kind: str,
    subject_id: int | None,
    actor: Actor,
    at: datetime,
    data: Mapping[str, Any] | None = None,
    store_id: int | None = None,
) -> None:
    """Write one event in the caller's transaction. ``action`` is ``noun.verb``; ``data`` is JSON without secrets."""
    sql.run(
        _RECORD,
        [
            current_scope().merchant_id,
            at,
            actor.user_id,
            actor.label[:160],
            action,
            subject_kind,
            subject_id,
            store_id,
            Jsonb(dict(data or {})),
            actor.ip,
            actor.user_agent[:200],
        ],
    )


def record_many(
    *,
    action: str,
    subject_kind: str,
    subjects: Iterable[tuple[int, int | None, Mapping[str, Any]]],
    actor: Actor,
    at: datetime,
) -> None:
    """As ``record``, the same done to many: each subject's id, its store's, and its own data, in one statement."""
    rows = list(subjects)
    if not rows:
        return
    sql.run(
        _RECORD_MANY,
        [
            current_scope().merchant_id,
            at,
            actor.user_id,
            actor.label[:160],
            action,
            subject_kind,
            actor.ip,
            actor.user_agent[:200],
            [one for one, _store, _data in rows],
            [store for _one, store, _data in rows],
            [json.dumps(dict(data), ensure_ascii=False) for _one, _store, data in rows],
        ],
    )


def _canonical(row: AuditEvent) -> bytes:
    fields = (
        row.pk,
        row.at.astimezone(UTC).isoformat(),
        row.recorded_at.astimezone(UTC).isoformat(),
        row.actor_id,
        row.actor,
        row.action,
        row.subject_kind,
        row.subject_id,
        row.store_id,
        row.data,
        row.ip,
        row.user_agent,
    )
    return json.dumps(fields, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def _digest(previous: bytes, from_at: datetime, to_at: datetime) -> tuple[bytes, int]:
    chain = hashlib.sha256(previous)
    count = 0
    rows = AuditEvent.objects.filter(recorded_at__gte=from_at, recorded_at__lt=to_at)
    for row in rows.order_by("recorded_at", "pk").iterator(chunk_size=2000):
        chain.update(_canonical(row))
        count += 1
    return chain.digest(), count


@transaction.atomic
def seal(*, now: datetime) -> AuditSeal | None:
    """Seal the merchant's rows recorded since the last seal and at least five minutes old; None if there are none."""
    # Not FOR UPDATE: the application's role may not even lock rows of an append-only table.
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))",
            [f"seal/{current_scope().merchant_id}"],
        )
    last = AuditSeal.objects.order_by("-sequence").first()
    from_at = last.to_at if last else datetime(2000, 1, 1, tzinfo=UTC)
    to_at = now - SEAL_AFTER
    if to_at <= from_at:
        return None
    digest, count = _digest(bytes(last.digest) if last else b"", from_at, to_at)
    if count == 0:
        return None
    link = AuditSeal(
        sequence=last.sequence + 1 if last else 1,
        from_at=from_at,
        to_at=to_at,
        row_count=count,
        digest=digest,
        sealed_at=now,
    )
    link.save(force_insert=True)
    return link


def broken_links() -> Iterator[AuditSeal]:
    """The seals whose rows were changed, removed or added afterwards, oldest first.

    Seals over a month that was taken out of the table (``partitions.detach``) cannot be compared until it is back.
    """
    previous = b""
    away = partitions.detached_periods("core_auditevent")
    for link in AuditSeal.objects.order_by("sequence"):
        # A row is filed by its own time and sealed by the time it was written, a moment later.
        if any(
            link.from_at < high + SEAL_AFTER and link.to_at > low - SEAL_AFTER for low, high in away
        ):
            previous = bytes(link.digest)
            continue
        digest, count = _digest(previous, link.from_at, link.to_at)
        if digest != bytes(link.digest) or count != link.row_count:
            yield link
        previous = bytes(link.digest)
