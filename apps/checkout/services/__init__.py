"""Writes of this room: orders opened and led to a platform, money taken at the till, terminals that move."""

from apps.checkout.services.orders import (
    FORM_KEPT,
    TooManyOrders,
    asking_alone,
    authorize_address,
    begin,
    begin_in_wechat,
    forget_forms,
    give_up,
    look,
    merchants_with_old_forms,
    open_order_once,
    watch,
)
from apps.checkout.services.terminals import TerminalHasCodes, change_terminal
from apps.checkout.services.till import PaidAfterAll, take_at_till

__all__ = [
    "FORM_KEPT",
    "PaidAfterAll",
    "TerminalHasCodes",
    "TooManyOrders",
    "asking_alone",
    "authorize_address",
    "begin",
    "begin_in_wechat",
    "change_terminal",
    "forget_forms",
    "give_up",
    "look",
    "merchants_with_old_forms",
    "open_order_once",
    "take_at_till",
    "watch",
]
