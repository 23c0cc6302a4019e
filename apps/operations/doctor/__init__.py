"""The doctor: examines accounts and the portal, and says in plain words what is wrong and what to do."""

from apps.operations.doctor.account import SIMULATOR_OFF, examine_account
from apps.operations.doctor.findings import Check, Examination, Finding, State
from apps.operations.doctor.house import examine_house
from apps.operations.doctor.rehearsal import (
    Rehearsal,
    RehearsalRefused,
    may_rehearse,
    rehearse,
)

__all__ = [
    "SIMULATOR_OFF",
    "Check",
    "Examination",
    "Finding",
    "Rehearsal",
    "RehearsalRefused",
    "State",
    "examine_account",
    "examine_house",
    "may_rehearse",
    "rehearse",
]
