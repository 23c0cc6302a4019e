"""What else waits for a member, beside confirmations: higher rooms say it here, and the frame counts it with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import QuerySet


@dataclass(frozen=True, slots=True)
class Waiting:
    """Rows that wait for whoever holds ``permission``; ``rows`` are those of the scope at a moment, ``page`` the name of their page.

    Called within the merchant's scope; the rows are counted, never loaded. ``words`` say what so many are.
    """

    permission: str
    page: str
    words: Callable[[int], str]
    rows: Callable[[datetime], QuerySet[Any]]


_kinds: list[Waiting] = []


def register(waiting: Waiting) -> None:
    """Called once a kind, from ``AppConfig.ready``. What is registered first is gone to first."""
    _kinds.append(waiting)


def kinds_for(permissions: frozenset[str]) -> list[Waiting]:
    """The kinds that wait for a member with these permissions."""
    return [kind for kind in _kinds if kind.permission in permissions]
