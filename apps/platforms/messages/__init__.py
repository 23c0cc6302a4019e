"""Platform codes in plain words: what happened, what it means for the money, what to do."""

from apps.platforms.messages.explaining import explain, explain_statement, known_codes

__all__ = [
    "explain",
    "explain_statement",
    "known_codes",
]
