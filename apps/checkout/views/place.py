"""Where a member stands to take money, remembered by the browser's session, and whose money that member may see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from apps.accounts.models import User
from apps.merchants.access import MerchantRequest
from apps.merchants.models import Store, Terminal


def whose(request: MerchantRequest) -> User | None:
    """Whose takings a member may see: only the member's own, or None for everybody's."""
    return None if "takings.view" in request.permissions else request.member


def _key(request: MerchantRequest) -> str:
    return f"till/{request.merchant.pk}"


def remember(request: MerchantRequest, *, store_id: int, terminal_id: int | None) -> None:
    """Keep store and terminal for the next customer."""
    place = {"store": store_id, "terminal": terminal_id}
    if request.session.get(_key(request)) != place:
        request.session[_key(request)] = place


def remembered(
    request: MerchantRequest, *, stores: Sequence[Store], terminals: Sequence[Terminal]
) -> dict[str, Any]:
    """The store and terminal of the last payment, as far as they are still to be chosen."""
    place = request.session.get(_key(request), {})
    known = {"store": {row.pk for row in stores}, "terminal": {row.pk for row in terminals}}
    return {name: pk for name, pk in place.items() if pk in known.get(name, ())}
