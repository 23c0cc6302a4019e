"""Names are printed on codes. What cannot be printed is known to the room that prints; it tells this one."""

from __future__ import annotations

from collections.abc import Callable

from django.core.exceptions import ValidationError

#: What is wrong with a text that is to be printed, as a sentence; "" where nothing is.
Check = Callable[[str], str]

_checks: list[Check] = []


def register(check: Check) -> None:
    """Have ``check`` asked about every name that is printed. Once a process, when its room is set up."""
    _checks.append(check)


def validate_printable(text: str) -> None:
    """Raise ValidationError for a name that no placard can show."""
    for check in _checks:
        if words := check(text):
            raise ValidationError(words, code="unprintable")
