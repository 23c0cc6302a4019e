"""Platform codes in plain words: what happened, what it means for the money, what to do."""

from apps.platforms.messages.about import About
from apps.platforms.messages.explaining import (
    explain,
    explain_statement,
    known_codes,
    says_nothing_moved,
)

__all__ = [
    "About",
    "explain",
    "explain_statement",
    "known_codes",
    "says_nothing_moved",
]
