"""How Alipay writes money, times and refusals on the wire (dossier B2, B4)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

from apps.simulator import clock

YUAN = re.compile(r"(?:0|[1-9]\d{0,8})(?:\.\d{1,2})?")
MAX_FEN = 100_000_000_00
TIMEOUT = re.compile(r"([1-9]\d{0,5})([mhdc])")
LONGEST = timedelta(days=15)


class GatewayRefusal(Exception):
    """The gateway itself refuses the call: answered as an unsigned ``error_response``."""

    def __init__(self, code: str, sub_code: str, sub_msg: str) -> None:
        super().__init__(sub_code)
        self.fields = {
            "code": code,
            "msg": {
                "20000": "Service Currently Unavailable",
                "40001": "Missing Required Arguments",
                "40002": "Invalid Arguments",
            }.get(code, "Business Failed"),
            "sub_code": sub_code,
            "sub_msg": sub_msg,
        }


class BusinessRefusal(Exception):
    """A method refuses: signed answer with code 40004 (20000 for ACQ.SYSTEM_ERROR)."""

    def __init__(self, sub_code: str, sub_msg: str = "", **more: str) -> None:
        super().__init__(sub_code)
        system = sub_code == "ACQ.SYSTEM_ERROR"
        self.sub_code = sub_code
        self.sub_msg = sub_msg or REASONS.get(sub_code, sub_code)
        self.fields: dict[str, Any] = {
            "code": "20000" if system else "40004",
            "msg": "Service Currently Unavailable" if system else "Business Failed",
            "sub_code": sub_code,
            "sub_msg": self.sub_msg,
            **more,
        }


#: What the gateway says beside a sub_code; clients branch on the code only.
REASONS = {
    "ACQ.TRADE_NOT_EXIST": "交易不存在",
    "ACQ.TRADE_HAS_SUCCESS": "交易已被支付",
    "ACQ.TRADE_HAS_CLOSE": "交易已经关闭",
    "ACQ.CONTEXT_INCONSISTENT": "交易信息被篡改",
    "ACQ.TRADE_BUYER_NOT_MATCH": "交易买家不匹配",
    "ACQ.TRADE_STATUS_ERROR": "交易状态不合法",
    "ACQ.TRADE_NOT_ALLOW_REFUND": "当前交易不允许退款",
    "ACQ.INVALID_PARAMETER": "参数无效",
    "ACQ.TOTAL_FEE_EXCEED": "订单总金额超过限额",
    "ACQ.SYSTEM_ERROR": "系统错误",
    "ACQ.SELLER_BALANCE_NOT_ENOUGH": "卖家余额不足",
    "ACQ.REASON_TRADE_REFUND_FEE_ERR": "退款金额无效",
    "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL": "退款金额与订单金额不一致",
    "ACQ.DISCORDANT_REPEAT_REQUEST": "同一退款请求号金额不一致",
    "ACQ.BUYER_BALANCE_NOT_ENOUGH": "买家余额不足",
    "ACQ.PAYMENT_AUTH_CODE_INVALID": "支付授权码无效",
    "ACQ.TRADE_CANCEL_TIME_OUT": "撤销时间范围超过限制",
}


def yuan(fen: int) -> str:
    """``1234`` fen as ``"12.34"``; keeps the sign."""
    sign = "-" if fen < 0 else ""
    return f"{sign}{abs(fen) // 100}.{abs(fen) % 100:02d}"


def fen(value: object, field: str) -> int:
    """Read a yuan amount of the wire. Raises BusinessRefusal unless 0.01 to 100000000.00."""
    text = str(value) if isinstance(value, (str, int, float)) else ""
    if not YUAN.fullmatch(text):
        raise BusinessRefusal("ACQ.INVALID_PARAMETER", f"参数无效：{field}")
    whole, _, part = text.partition(".")
    amount = int(whole) * 100 + int(part.ljust(2, "0") or "0")
    if amount < 1:
        raise BusinessRefusal("ACQ.INVALID_PARAMETER", f"参数无效：{field}")
    if amount > MAX_FEN:
        raise BusinessRefusal("ACQ.TOTAL_FEE_EXCEED")
    return amount


def text(biz: dict[str, Any], field: str, *, longest: int, needed: bool = False) -> str:
    """Read a text field. Raises BusinessRefusal when missing but needed, too long or no text."""
    value = biz.get(field)
    if value is None or value == "":
        if needed:
            raise BusinessRefusal("ACQ.INVALID_PARAMETER", f"参数有误：{field}不能为空")
        return ""
    if not isinstance(value, str) or len(value) > longest:
        raise BusinessRefusal("ACQ.INVALID_PARAMETER", f"参数无效：{field}")
    return value


def deadline(biz: dict[str, Any], *, at: datetime) -> datetime:
    """When an unpaid trade closes: ``time_expire`` or ``timeout_express``, else after 15 days.

    Raises BusinessRefusal for a malformed value or a moment that has passed.
    """
    absolute = text(biz, "time_expire", longest=19)
    if absolute:
        try:
            layout = "%Y-%m-%d %H:%M:%S %z" if len(absolute) > 16 else "%Y-%m-%d %H:%M %z"
            moment = datetime.strptime(f"{absolute} +0800", layout).astimezone(UTC)
        except ValueError:
            raise BusinessRefusal("ACQ.INVALID_PARAMETER", "参数无效：time_expire") from None
        # The client does not know the simulated clock: its moment is so long from true now.
        ahead = moment - clock.real_now()
        if ahead <= timedelta(0):
            raise BusinessRefusal("ACQ.INVALID_PARAMETER", "参数无效：time_expire已过")
        return at + min(ahead, LONGEST)
    relative = span(biz, "timeout_express", at=at)
    return at + (relative if relative is not None else LONGEST)


def span(biz: dict[str, Any], field: str, *, at: datetime) -> timedelta | None:
    """Read ``5m``, ``2h``, ``1d`` or ``1c`` (to the end of the day); None if absent."""
    value = text(biz, field, longest=6)
    if not value:
        return None
    found = TIMEOUT.fullmatch(value)
    if found is None:
        raise BusinessRefusal("ACQ.INVALID_PARAMETER", f"参数无效：{field}")
    count, unit = int(found[1]), found[2]
    if unit == "c":
        return clock.beijing_period(clock.beijing_date(at))[1] - at
    length = timedelta(**{{"m": "minutes", "h": "hours", "d": "days"}[unit]: count})
    if length > LONGEST:
        raise BusinessRefusal("ACQ.INVALID_PARAMETER", f"参数无效：{field}")
    return length
