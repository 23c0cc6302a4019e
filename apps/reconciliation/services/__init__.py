"""Writes of this room: matching a day, and what became of its differences."""

from apps.reconciliation.services.matching import NothingToReconcile, reconcile
from apps.reconciliation.services.resolving import reopen_difference, resolve_difference

__all__ = ["NothingToReconcile", "reconcile", "reopen_difference", "resolve_difference"]
