"""Writes of this room: orders opened and led to a platform, money taken at the desk, shifts, displays, terminals that move."""

from apps.checkout.services.desk import ask_at_desk
from apps.checkout.services.displays import WALL_DOOR, put_up_display, take_down_display
from apps.checkout.services.limits import Limit, LimitReached, Room, room_of
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
from apps.checkout.services.receipts import RECEIPT_KEPT, receipt_of
from apps.checkout.services.risk import PaymentHeld, TillHeld, count_risk, expect_count, judge
from apps.checkout.services.settings import change_settings
from apps.checkout.services.shifts import close_shift, open_shift
from apps.checkout.services.terminals import TerminalHasCodes, change_terminal
from apps.checkout.services.till import PaidAfterAll, take_at_till

__all__ = [
    "FORM_KEPT",
    "RECEIPT_KEPT",
    "WALL_DOOR",
    "Limit",
    "LimitReached",
    "PaidAfterAll",
    "PaymentHeld",
    "Room",
    "TerminalHasCodes",
    "TillHeld",
    "TooManyOrders",
    "ask_at_desk",
    "asking_alone",
    "authorize_address",
    "begin",
    "begin_in_wechat",
    "change_settings",
    "change_terminal",
    "close_shift",
    "count_risk",
    "expect_count",
    "forget_forms",
    "give_up",
    "judge",
    "look",
    "merchants_with_old_forms",
    "open_order_once",
    "open_shift",
    "put_up_display",
    "receipt_of",
    "room_of",
    "take_at_till",
    "take_down_display",
    "watch",
]
