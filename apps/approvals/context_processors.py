"""What the frame says about confirmations."""

from __future__ import annotations

from functools import cache
from typing import Any

from django.http import HttpRequest

from apps.accounts.models import User
from apps.approvals.selectors import waiting_for
from apps.core import clock
from apps.core.tenancy import NoScope


def waiting(request: HttpRequest) -> dict[str, Any]:
    """``waiting_count``: how many approvals the member may decide; counted only where a page shows it."""
    user = getattr(request, "user", None)
    permissions = getattr(request, "permissions", None)
    if not isinstance(user, User) or not permissions:
        return {}

    @cache
    def waiting_count() -> int:
        try:
            return waiting_for(member=user, permissions=permissions, now=clock.now()).count()
        except NoScope:
            # An error page is drawn after the merchant's scope has ended.
            return 0

    return {"waiting_count": waiting_count}
