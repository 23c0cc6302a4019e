"""Why somebody books by hand: the codes of every merchant and the merchant's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from apps.ledger.models import AdjustmentReason, ReasonCode


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One code with its words. ``is_active``: it is offered for new adjustments."""

    code: str
    name: str
    is_own: bool
    is_active: bool


def list_reasons() -> list[Reason]:
    """All codes: those of every merchant in their order, then the merchant's own by code. One query."""
    rows = {row.code: row for row in ReasonCode.objects.order_by("code")}
    common = [
        Reason(
            code=reason.value,
            name=str(reason.label),
            is_own=False,
            is_active=rows[reason.value].is_active if reason.value in rows else True,
        )
        for reason in AdjustmentReason
    ]
    own = [
        Reason(code=row.code, name=row.name, is_own=True, is_active=row.is_active)
        for row in rows.values()
        if row.code not in AdjustmentReason
    ]
    return common + own


def reason_names() -> Mapping[str, str]:
    """The words of each code, in the reader's language where they are the portal's. One query."""
    return {
        reason.code: f"{reason.code} · {reason.name}" if reason.is_own else reason.name
        for reason in list_reasons()
    }


def reason_words(code: str) -> str:
    """The words of one code. One query for a merchant's own, none for others."""
    if code in AdjustmentReason:
        return str(AdjustmentReason(code).label)
    return reason_names().get(code, code)
