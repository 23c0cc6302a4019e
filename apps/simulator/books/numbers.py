"""The numbers that platforms give to trades and refunds, and the fees that they charge."""

from __future__ import annotations

import secrets
from datetime import datetime

from apps.simulator import clock
from apps.simulator.models import Platform

MILLION = 1_000_000


def _digits(count: int) -> str:
    return "".join(secrets.choice("0123456789") for _ in range(count))


def new_trade_no(platform: str, at: datetime) -> str:
    """A fresh platform trade number, in the manner of each platform."""
    day = at.astimezone(clock.BEIJING).strftime("%Y%m%d")
    if platform == Platform.WECHATPAY:
        return f"4200002511{day}{_digits(10)}"
    if platform == Platform.UNIONPAY:
        return _query_id(at)
    if platform == Platform.SHOUQIANBA:
        return f"7895{_digits(12)}"
    return f"{day}22001{_digits(15)}"


def new_refund_no(platform: str, at: datetime) -> str:
    """A fresh platform refund number."""
    day = at.astimezone(clock.BEIJING).strftime("%Y%m%d")
    if platform == Platform.WECHATPAY:
        return f"50300002{day}{_digits(13)}"
    if platform == Platform.UNIONPAY:
        return _query_id(at)
    return f"{day}51001{_digits(17)}"


def _query_id(at: datetime) -> str:
    """UnionPay's queryId: two digits, the time, the six of traceNo, and one more; 21 in all."""
    return f"{_digits(2)}{at.astimezone(clock.BEIJING):%y%m%d%H%M%S}{_digits(7)}"


def fee_of(amount_fen: int, rate_ppm: int) -> int:
    """The fee on a payment in fen, rounded half up."""
    return (amount_fen * rate_ppm + MILLION // 2) // MILLION


def returned_fee(*, fee_fen: int, amount_fen: int, before_fen: int, refund_fen: int) -> int:
    """The fee that goes back with a refund: pro rata, rounded half up over the running total, so
    that refunds that add up to the payment return exactly its fee. ``before_fen`` was refunded before.
    """

    def total(refunded: int) -> int:
        return (2 * fee_fen * refunded + amount_fen) // (2 * amount_fen)

    return total(before_fen + refund_fen) - total(before_fen)
