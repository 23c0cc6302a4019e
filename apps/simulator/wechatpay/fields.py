"""Checking request bodies by a table of fields, as strictly as the platform (dossier A2)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from apps.simulator.wechatpay.errors import param_error

ORDER_NO = re.compile(r"[0-9A-Za-z_|*\-]{6,32}")
REFUND_NO = re.compile(r"[0-9A-Za-z_|*@\-]{1,64}")
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A string field. ``limit`` counts characters; ``pattern`` must match all of it."""

    limit: int
    required: bool = False
    pattern: re.Pattern[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """A JSON integer field; true and 1.0 are none."""

    minimum: int
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """A JSON boolean field."""

    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Many:
    """A JSON array; ``each`` checks its items."""

    each: Field | None = None
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A JSON object of known fields; others are rejected."""

    fields: dict[str, Field] = field(default_factory=dict)
    required: bool = False


Field = Text | Whole | Flag | Many | Group


def check(spec: Field, value: Any, pointer: str = "") -> None:
    """Raise 400 PARAM_ERROR at the first field that is missing, unknown or of a wrong form."""
    match spec:
        case Group():
            _check_group(spec, value, pointer)
        case Text():
            _check_text(spec, value, pointer)
        case Whole():
            if not isinstance(value, int) or isinstance(value, bool):
                raise param_error(pointer, "应为整数", value)
            if value < spec.minimum:
                raise param_error(pointer, f"数值不得小于最小值 {spec.minimum}", value)
            if value > 10**12:
                raise param_error(pointer, "数值超过最大值", value)
        case Flag():
            if not isinstance(value, bool):
                raise param_error(pointer, "应为布尔值", value)
        case Many():
            if not isinstance(value, list):
                raise param_error(pointer, "应为数组", value)
            if spec.each is not None:
                for index, item in enumerate(value):
                    check(spec.each, item, f"{pointer}/{index}")


def _check_group(spec: Group, value: Any, pointer: str) -> None:
    if not isinstance(value, dict):
        raise param_error(pointer, "应为JSON对象", value)
    for name in value:
        if name not in spec.fields:
            raise param_error(f"{pointer}/{name}", "存在未定义的参数")
    for name, inner in spec.fields.items():
        if name in value:
            check(inner, value[name], f"{pointer}/{name}")
        elif inner.required:
            raise param_error(f"{pointer}/{name}", "必填字段未填写")


def _check_text(spec: Text, value: Any, pointer: str) -> None:
    if not isinstance(value, str):
        raise param_error(pointer, "应为字符串", value)
    if spec.required and not value:
        raise param_error(pointer, "必填字段为空", value)
    if len(value) > spec.limit:
        raise param_error(pointer, f"长度超过最大值 {spec.limit}", value)
    if any(ord(char) > 0xFFFF for char in value):
        raise param_error(pointer, "包含不支持的字符", value)
    if spec.pattern is not None and not spec.pattern.fullmatch(value):
        raise param_error(pointer, "字符串规则校验失败", value)


def check_notify_url(value: str, pointer: str = "/notify_url") -> None:
    """Only https without a query string; the simulator also takes http on a loopback host."""
    try:
        parts = urlsplit(value)
        host = parts.hostname or ""
    except ValueError as error:
        raise param_error(pointer, "不是合法的URL", value) from error
    if not host or parts.query or parts.fragment:
        raise param_error(pointer, "通知地址不能携带参数", value)
    if parts.scheme != "https" and not (parts.scheme == "http" and host in _LOOPBACK):
        raise param_error(pointer, "通知地址必须为https", value)


def parse_time(value: str, pointer: str) -> datetime:
    """An RFC 3339 time with its zone. Raises ApiError."""
    try:
        at = datetime.fromisoformat(value)
    except ValueError as error:
        raise param_error(pointer, "不符合rfc3339格式", value) from error
    if at.tzinfo is None or "T" not in value:
        raise param_error(pointer, "不符合rfc3339格式", value)
    return at


# --- the bodies ------------------------------------------------------------------------------------

_SCENE: dict[str, Field] = {
    "payer_client_ip": Text(limit=45),
    "device_id": Text(limit=32),
    "store_info": Group(
        fields={
            "id": Text(limit=32, required=True),
            "name": Text(limit=256),
            "area_code": Text(limit=32),
            "address": Text(limit=512),
        }
    ),
}

_GOODS = Group(
    fields={
        "merchant_goods_id": Text(limit=32, required=True),
        "wechatpay_goods_id": Text(limit=32),
        "goods_name": Text(limit=256),
        "quantity": Whole(minimum=1, required=True),
        "unit_price": Whole(minimum=0, required=True),
    }
)

_ORDER: dict[str, Field] = {
    "appid": Text(limit=32, required=True),
    "mchid": Text(limit=32, required=True),
    "description": Text(limit=127, required=True),
    "out_trade_no": Text(limit=32, required=True, pattern=ORDER_NO),
    "time_expire": Text(limit=64),
    "attach": Text(limit=128),
    "notify_url": Text(limit=255, required=True),
    "goods_tag": Text(limit=32),
    "support_fapiao": Flag(),
    "limit_pay": Many(each=Text(limit=32)),
    "amount": Group(
        required=True,
        fields={
            "total": Whole(minimum=1, required=True),
            "currency": Text(limit=16, pattern=re.compile("CNY")),
        },
    ),
    "detail": Group(
        fields={
            "cost_price": Whole(minimum=0),
            "invoice_id": Text(limit=32),
            "goods_detail": Many(each=_GOODS),
        }
    ),
    "scene_info": Group(fields=_SCENE),
    "settle_info": Group(fields={"profit_sharing": Flag()}),
}

JSAPI_ORDER = Group(
    fields={
        **_ORDER,
        "payer": Group(required=True, fields={"openid": Text(limit=128, required=True)}),
    }
)
NATIVE_ORDER = Group(fields=_ORDER)
H5_ORDER = Group(
    fields={
        **_ORDER,
        "scene_info": Group(
            required=True,
            fields={
                **_SCENE,
                "payer_client_ip": Text(limit=45, required=True),
                "h5_info": Group(
                    required=True,
                    fields={
                        "type": Text(limit=32, required=True),
                        "app_name": Text(limit=64),
                        "app_url": Text(limit=128),
                        "bundle_id": Text(limit=128),
                        "package_name": Text(limit=128),
                    },
                ),
            },
        ),
    }
)

#: A barcode order has no notify_url and no time_expire: what came of it is the answer, or asked for.
CODE_ORDER = Group(
    fields={
        **{
            name: spec for name, spec in _ORDER.items() if name not in {"notify_url", "time_expire"}
        },
        "payer": Group(required=True, fields={"auth_code": Text(limit=32, required=True)}),
        "scene_info": Group(
            required=True,
            fields={
                "device_id": Text(limit=32),
                "device_ip": Text(limit=45),
                "store_info": Group(
                    required=True, fields={"id": Text(limit=32), "out_id": Text(limit=32)}
                ),
            },
        ),
    }
)
REVERSE = Group(
    fields={
        "appid": Text(limit=32, required=True),
        "mchid": Text(limit=32, required=True),
    }
)

CLOSE = Group(fields={"mchid": Text(limit=32, required=True)})

REFUND = Group(
    fields={
        "transaction_id": Text(limit=32),
        "out_trade_no": Text(limit=32),
        "out_refund_no": Text(limit=64, required=True, pattern=REFUND_NO),
        "reason": Text(limit=80),
        "notify_url": Text(limit=256),
        "funds_account": Text(limit=32),
        "amount": Group(
            required=True,
            fields={
                "refund": Whole(minimum=1, required=True),
                "total": Whole(minimum=1, required=True),
                "currency": Text(limit=16, required=True, pattern=re.compile("CNY")),
                "from": Many(
                    each=Group(
                        fields={
                            "account": Text(limit=32, required=True),
                            "amount": Whole(minimum=1, required=True),
                        }
                    )
                ),
            },
        ),
        "goods_detail": Many(),
    }
)

ABNORMAL_REFUND = Group(
    fields={
        "out_refund_no": Text(limit=64, required=True, pattern=REFUND_NO),
        "type": Text(
            limit=32, required=True, pattern=re.compile("USER_BANK_CARD|MERCHANT_BANK_CARD")
        ),
        "bank_type": Text(limit=16),
        "bank_account": Text(limit=1024),
        "real_name": Text(limit=1024),
    }
)

ECHO = Group(
    fields={
        "echo_message": Text(limit=1024, required=True),
        "notify_url": Text(limit=255),
        "encrypted_echo_message": Text(limit=2048),
    }
)
