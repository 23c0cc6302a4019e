"""What was found last, for the page. In the cache: should it be lost, somebody examines again."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from django.core.cache import cache

from apps.core.tenancy import current_merchant_id
from apps.operations.doctor.findings import Examination

_KEPT: Final = timedelta(days=30)
HOUSE: Final = 0


def _key(account_id: int) -> str:
    return f"doctor/{current_merchant_id()}/{account_id}"


def keep(account_id: int, examination: Examination) -> None:
    """Keep what was found about an account of the merchant in scope; ``HOUSE`` stands for the portal itself."""
    cache.set(_key(account_id), examination.as_dict(), timeout=_KEPT.total_seconds())


def latest(account_id: int) -> Examination | None:
    """What was found last; None if that was never done, or is forgotten."""
    kept = cache.get(_key(account_id))
    if not isinstance(kept, dict):
        return None
    try:
        return Examination.from_dict(kept)
    except (KeyError, ValueError, TypeError):
        # Written by another version of the portal.
        return None
