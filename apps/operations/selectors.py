"""What the operations pages show."""

from __future__ import annotations

from apps.core import keyset
from apps.core.models import AuditEvent, Due
from apps.core.tenancy import current_merchant_id

PAGE_SIZE = 50


def audit_page(*, after: str = "", action: str = "") -> keyset.Page[AuditEvent]:
    """The merchant's audit trail, newest first, older than the place ``after``. Raises BadCursor."""
    rows = AuditEvent.objects.all()
    if action:
        rows = rows.filter(action__startswith=action)
    return keyset.page(rows, at="at", after=after, size=PAGE_SIZE)


def waiting_jobs(*, limit: int = 200) -> list[Due]:
    """Work of the merchant that is due or will be, soonest first."""
    rows = Due.objects.filter(merchant_id=current_merchant_id()).order_by("due_at", "pk")
    return list(rows[:limit])
