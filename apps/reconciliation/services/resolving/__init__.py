"""What is done about differences, and how it is taken back."""

from apps.reconciliation.services.resolving.acts import (
    Act,
    assign_difference,
    comment_difference,
    resolve_difference,
)
from apps.reconciliation.services.resolving.following import follow_adjustment
from apps.reconciliation.services.resolving.lapsing import hold_resolution, why_lapsed
from apps.reconciliation.services.resolving.refusal import CannotResolve
from apps.reconciliation.services.resolving.undoing import (
    day_of,
    undo_resolution,
    why_not_undone,
)

__all__ = [
    "Act",
    "CannotResolve",
    "assign_difference",
    "comment_difference",
    "day_of",
    "follow_adjustment",
    "hold_resolution",
    "resolve_difference",
    "undo_resolution",
    "why_lapsed",
    "why_not_undone",
]
