"""How confirmations run in a merchant: hours and switches, and which of two is the stricter. No database here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

#: What loosens the terms holds only after so long: whoever stole a session cannot switch a delay on and use it at once.
LOOSER_AFTER: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """As ``models.ApprovalTerms``: hours since the request, 0 for never."""

    expire_hours: int = 72
    remind_hours: int = 12
    escalate_hours: int = 24
    cooling_hours: int = 0
    credentials: bool = True
    factor: bool = False

    def strictest(self, other: Terms) -> Terms:
        """Of each value the stricter one: what holds at once where some values of a change tighten and others loosen."""
        return Terms(
            expire_hours=min(self.expire_hours, other.expire_hours),
            remind_hours=_sooner(self.remind_hours, other.remind_hours),
            escalate_hours=_sooner(self.escalate_hours, other.escalate_hours),
            # No cooling-off is stricter than any; a longer one is stricter than a short one.
            cooling_hours=max(self.cooling_hours, other.cooling_hours)
            if self.cooling_hours and other.cooling_hours
            else 0,
            credentials=self.credentials or other.credentials,
            factor=self.factor or other.factor,
        )


def _sooner(one: int, other: int) -> int:
    return min(one, other) if one and other else one or other


#: What holds in a merchant that has chosen nothing.
DEFAULTS: Final = Terms()
