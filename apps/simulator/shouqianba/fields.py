"""Checking request bodies by tables of fields (dossier 2.4, 2.5). All values are strings but the maps and lists."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apps.simulator.shouqianba.errors import invalid_params

DIGITS = re.compile(r"\d+")
AMOUNT = re.compile(r"[1-9]\d{0,9}")
_GOODS = {"goods_id": 32, "goods_name": 32}
_GOODS_NUMBERS = {"quantity": 10, "price": 9, "promotion_type": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A string field. ``limit`` counts characters, or bytes of UTF-8 when ``in_bytes``."""

    limit: int
    required: bool = False
    pattern: re.Pattern[str] | None = None
    in_bytes: bool = False


Spec = Mapping[str, Text]

_TERMINAL = {"terminal_sn": Text(limit=32, required=True, pattern=DIGITS)}
_DEVICE = {
    "device_id": Text(limit=128, required=True),
    "os_info": Text(limit=45),
    "sdk_version": Text(limit=45),
}
_TRADE = {
    **_TERMINAL,
    "client_sn": Text(limit=32, required=True, in_bytes=True),
    "total_amount": Text(limit=10, required=True, pattern=AMOUNT),
    "subject": Text(limit=64, required=True),
    "operator": Text(limit=32, required=True),
    "payway": Text(limit=2, pattern=DIGITS),
    "description": Text(limit=256),
    "longitude": Text(limit=32),
    "latitude": Text(limit=32),
    "reflect": Text(limit=64),
    "notify_url": Text(limit=128),
}
_ORDER = {
    **_TERMINAL,
    # A channel's trade number may stand in this field as well.
    "sn": Text(limit=64),
    "client_sn": Text(limit=64, in_bytes=True),
}

ACTIVATE: Spec = {
    "app_id": Text(limit=64, required=True),
    "code": Text(limit=64, required=True),
    **_DEVICE,
    "client_sn": Text(limit=50),
    "name": Text(limit=128),
}
CHECK_IN: Spec = {**_TERMINAL, **_DEVICE}
PAY: Spec = {
    **_TRADE,
    "dynamic_id": Text(limit=32, required=True, in_bytes=True),
    "device_id": Text(limit=128),
}
PRECREATE: Spec = {
    **_TRADE,
    "payway": Text(limit=2, required=True, pattern=DIGITS),
    "sub_payway": Text(limit=1, pattern=DIGITS),
    "payer_uid": Text(limit=64),
}
QUERY: Spec = _ORDER
CANCEL: Spec = _ORDER
REFUND: Spec = {
    **_ORDER,
    "refund_request_no": Text(limit=20, required=True),
    "operator": Text(limit=64, required=True),
    "refund_amount": Text(limit=10, required=True, pattern=AMOUNT),
    "client_tsn": Text(limit=32),
}
GATEWAY: Spec = {
    **_TRADE,
    "return_url": Text(limit=128, required=True),
    "extended": Text(limit=256),
    "sign": Text(limit=32, required=True),
}


def read(body: Mapping[str, Any], spec: Spec) -> dict[str, str]:
    """The body's known string fields, "" for absent ones; unknown ones are ignored.

    Raises EnvelopeRefusal (INVALID_PARAMS), which names every field at fault at once, as the platform does.
    """
    values: dict[str, str] = {}
    faults: list[str] = []
    for name, text in spec.items():
        value = body.get(name)
        if value is None or value == "":
            values[name] = ""
            if text.required:
                faults.append(f"{name}不可以为空")
        elif not isinstance(value, str):
            faults.append(f"{name}应为字符串")
        elif len(value.encode("utf-8", "replace") if text.in_bytes else value) > text.limit:
            faults.append(f"{name}长度不能超过{text.limit}")
        elif text.pattern is not None and not text.pattern.fullmatch(value):
            faults.append(
                f"{name}金额为整数，长度不超过10位，以分为单位"
                if text.pattern is AMOUNT
                else f"{name}格式不正确"
            )
        else:
            values[name] = value
    if not faults and bool(values.get("longitude")) != bool(values.get("latitude")):
        faults.append("经纬度必须同时出现")
    if faults:
        raise invalid_params("；".join(faults))
    return values


def check_extras(body: Mapping[str, Any]) -> None:
    """The two fields that are no strings: ``extended`` (a map) and ``goods_details`` (a list). Raises EnvelopeRefusal."""
    extended = body.get("extended")
    if extended is not None and not (
        isinstance(extended, dict)
        and len(extended) <= 24
        and all(
            len(name) <= 64 and isinstance(value, str) and len(value) <= 256
            for name, value in extended.items()
        )
    ):
        raise invalid_params("extended最多24个字段，key不超过64字节，value不超过256字节")
    goods = body.get("goods_details")
    if goods is not None and not (isinstance(goods, list) and all(map(_is_goods, goods))):
        raise invalid_params("goods_details格式不正确")


def _is_goods(item: object) -> bool:
    if not isinstance(item, dict):
        return False
    texts = (item.get(name) for name in _GOODS)
    numbers = {name: item.get(name) for name in _GOODS_NUMBERS}
    return all(isinstance(text, str) and 0 < len(text) <= 32 for text in texts) and all(
        isinstance(number, int)
        and not isinstance(number, bool)
        and 0 <= number < 10 ** _GOODS_NUMBERS[name]
        for name, number in numbers.items()
    )
