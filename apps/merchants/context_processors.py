"""What the frame around every page needs."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from apps.accounts.models import User
from apps.merchants.models import Membership


def workspace(request: HttpRequest) -> dict[str, Any]:
    """``memberships``: the merchants the user may switch to, read only when the page shows them."""
    user = getattr(request, "user", None)
    if not isinstance(user, User):
        return {"memberships": ()}
    return {
        "memberships": Membership.objects.select_related("merchant")
        .filter(user=user, is_active=True, merchant__is_active=True)
        .order_by("merchant__name")
    }
