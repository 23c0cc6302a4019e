"""Changing a person's own facts."""

from __future__ import annotations

from apps.accounts.models import User


def rename_user(*, user: User, name: str) -> None:
    """Set the name that others see; empty shows the e-mail address instead."""
    User.objects.filter(pk=user.pk).update(name=name)
    user.name = name
