"""Telling open pages that something changed: PostgreSQL NOTIFY, sent when the transaction commits."""

from __future__ import annotations

import json

from apps.core import sql
from apps.core.tenancy import current_scope

CHANNEL = "portal_live"


def publish(
    *, kind: str, subject_id: int, store_id: int | None, member_id: int | None = None
) -> None:
    """Announce a change of ``kind`` (``"payment"``, ``"refund"``, ``"approval"``…) to the merchant's open pages.

    ``member_id``: whose it is, such as who took a payment; who sees only their own is not told of another member's. None: nobody's.
    Carries ids only: what a page shows it fetches through its own permission checks.
    """
    message = {
        "merchant": current_scope().merchant_id,
        "store": store_id,
        "kind": kind,
        "id": subject_id,
        "member": member_id,
    }
    sql.run("SELECT pg_notify(%s, %s)", [CHANNEL, json.dumps(message)])
