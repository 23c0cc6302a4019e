"""What the frame says about confirmations and whatever else waits."""

from __future__ import annotations

from functools import cache
from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from apps.accounts.models import User
from apps.approvals.selectors import waiting_for
from apps.approvals.waiting import kinds_for
from apps.core import clock, sql
from apps.core.tenancy import NoScope


def waiting(request: HttpRequest) -> dict[str, Any]:
    """``waiting_count``: what the member may decide; ``waiting_url``: where. Counted, by one statement, only where a page shows it.

    A customer who waits goes before what can wait: the address is that of the first kind that has any, confirmations last.
    """
    user = getattr(request, "user", None)
    permissions = getattr(request, "permissions", None)
    if not isinstance(user, User) or not permissions:
        return {}

    @cache
    def found() -> tuple[int, str]:
        try:
            kinds = kinds_for(permissions)
            counts = sql.counts(
                *(kind.rows(clock.now()) for kind in kinds),
                waiting_for(member=user, permissions=permissions),
            )
        except NoScope:
            # An error page is drawn after the merchant's scope has ended.
            return 0, ""
        pages = [*(kind.page for kind in kinds), "approvals:approval_list"]
        page = next((page for page, count in zip(pages, counts, strict=True) if count), pages[-1])
        return sum(counts), page

    def waiting_url() -> str:
        merchant = getattr(request, "merchant", None)
        page = found()[1]
        return reverse(page, args=[merchant.slug]) if page and merchant is not None else ""

    return {"waiting_count": lambda: found()[0], "waiting_url": waiting_url}
