"""What the frame says waits for the member: confirmations, and customers who ask for money back."""

from __future__ import annotations

from functools import cache
from typing import Any

from django.http import HttpRequest

from apps.accounts.models import User
from apps.core.tenancy import NoScope
from apps.refunds.selectors import Waiting, waiting_now


def waiting(request: HttpRequest) -> dict[str, Any]:
    """``waiting``: what the member may decide or answer now; ``waiting_count``: how many that are. Counted only where a page
    shows it.
    """
    user = getattr(request, "user", None)
    permissions = getattr(request, "permissions", None)
    if not isinstance(user, User) or not permissions:
        return {}

    @cache
    def counted() -> Waiting:
        try:
            return waiting_now(member=user, permissions=permissions)
        except NoScope:
            # An error page is drawn after the merchant's scope has ended.
            return Waiting()

    return {"waiting": counted, "waiting_count": lambda: counted().count}
