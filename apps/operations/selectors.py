"""What the operations pages show."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from apps.core.models import AuditEvent, Due
from apps.core.tenancy import current_merchant_id

PAGE_SIZE = 50
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CURSOR = re.compile(r"(?P<micros>\d{1,17})-(?P<pk>\d{1,18})")


@dataclass(frozen=True, slots=True)
class AuditPage:
    """One page of the audit trail, newest first; ``older`` is the cursor of the next page, or ``""``."""

    rows: list[AuditEvent]
    older: str


class BadCursor(ValueError):
    """A page link was tampered with."""


def audit_page(*, cursor: str, action: str = "") -> AuditPage:
    """The merchant's audit trail before ``cursor`` (``<microseconds since 1970>-<id>``). Raises BadCursor."""
    rows = AuditEvent.objects.order_by("-at", "-pk")
    if action:
        rows = rows.filter(action__startswith=action)
    if cursor:
        match = _CURSOR.fullmatch(cursor)
        if match is None:
            raise BadCursor(cursor)
        at = _EPOCH + timedelta(microseconds=int(match["micros"]))
        rows = rows.filter(at__lte=at).exclude(at=at, pk__gte=int(match["pk"]))
    found = list(rows[: PAGE_SIZE + 1])
    older = ""
    if len(found) > PAGE_SIZE:
        found = found[:PAGE_SIZE]
        micros = (found[-1].at - _EPOCH) // timedelta(microseconds=1)
        older = f"{micros}-{found[-1].pk}"
    return AuditPage(found, older)


def waiting_jobs(*, limit: int = 200) -> list[Due]:
    """Work of the merchant that is due or will be, soonest first."""
    rows = Due.objects.filter(merchant_id=current_merchant_id()).order_by("due_at", "pk")
    return list(rows[:limit])
