"""Terminals as a platform knows them: activated once, checked in daily, their keys kept so that no lost answer loses them."""

from apps.platforms.services.terminals.activation import (
    OUR_NAME,
    Activated,
    ActivationRefused,
    TerminalInUse,
    TerminalNotFound,
    activate,
    call_activation,
    has_terminals,
    keep,
    needs_activation,
    portal_terminal,
    switch_off,
)
from apps.platforms.services.terminals.check_ins import (
    REFUSED,
    TASK,
    UNANSWERED,
    CheckIn,
    check_in,
    check_in_due,
    is_fresh,
    next_check_in,
)
from apps.platforms.services.terminals.keys import PURPOSE, Keys, called_by, keys_of, reseal
from apps.platforms.services.terminals.stored_keys import StoredKeys

__all__ = [
    "OUR_NAME",
    "PURPOSE",
    "REFUSED",
    "TASK",
    "UNANSWERED",
    "Activated",
    "ActivationRefused",
    "CheckIn",
    "Keys",
    "StoredKeys",
    "TerminalInUse",
    "TerminalNotFound",
    "activate",
    "call_activation",
    "called_by",
    "check_in",
    "check_in_due",
    "has_terminals",
    "is_fresh",
    "keep",
    "keys_of",
    "needs_activation",
    "next_check_in",
    "portal_terminal",
    "reseal",
    "switch_off",
]
