"""Asking about many refunds at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from apps.core.outbox import Claim, Ended
from apps.refunds.services.polling import Refunds


def poll_refunds(claims: Sequence[Claim], *, now: datetime) -> Iterator[Sequence[Ended]]:
    """One round over claimed refunds of any merchants; yields what became of the claims."""
    return Refunds().round(claims, now=now)
