"""Reading the fields of a platform's message; what every connector's ``wire`` does alike. Free of Django."""

from __future__ import annotations

import json
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


def load_object(content: bytes | str) -> dict[str, Any]:
    """Read a JSON object that can be read in one way only: no name twice, at any depth. Raises MalformedMessage."""
    try:
        message = json.loads(content, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise MalformedMessage("not JSON") from error
    if not isinstance(message, dict):
        raise MalformedMessage("not a JSON object")
    return message


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise MalformedMessage("a name is twice there")
    return found
