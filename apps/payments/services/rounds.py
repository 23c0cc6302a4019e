"""Asking about many payments at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from apps.core.outbox import Claim, Ended
from apps.payments.services.polling import Payments


def poll_payments(claims: Sequence[Claim], *, now: datetime) -> Iterator[Sequence[Ended]]:
    """One round over claimed payments of any merchants; yields what became of the claims."""
    return Payments().round(claims, now=now)
