"""Reading the fields of a platform's message; what every connector's ``wire`` does alike. Free of Django."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from apps.platforms.gateway import MalformedMessage


def text(message: Mapping[str, Any], name: str) -> str:
    """A text field that must be there. Raises MalformedMessage."""
    value = message.get(name)
    if not isinstance(value, str) or not value:
        raise MalformedMessage(f"{name} is missing")
    return value


def optional(message: Mapping[str, Any], name: str) -> str:
    """A text field, or empty."""
    value = message.get(name)
    return value if isinstance(value, str) else ""
