"""What a platform was asked for: the same code may mean one thing of a payment and another of a refund."""

from __future__ import annotations

from enum import StrEnum


class About(StrEnum):
    """What was asked for when the code came."""

    PAYMENT = "payment"
    REFUND = "refund"
