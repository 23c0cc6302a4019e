"""A call of the gateway, as its methods see it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from apps.simulator import faults
from apps.simulator.models import Merchant, Platform


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call whose signature was verified. ``params`` are the common ones, ``biz`` the content."""

    merchant: Merchant
    method: str
    params: dict[str, str]
    biz: dict[str, Any]
    charset: str
    now: datetime

    def fault(self, key: str) -> dict[str, Any] | None:
        """The value of a fault that hits this method, or None; spends one use."""
        return faults.take(key, platform=Platform.ALIPAY, path=f"/alipay/gateway.do/{self.method}")


class OAuthRefusal(Exception):
    """alipay.system.oauth.token refuses: answered as a signed ``error_response``."""

    def __init__(self, sub_code: str, sub_msg: str) -> None:
        super().__init__(sub_code)
        self.fields = {
            "code": "40002",
            "msg": "Invalid Arguments",
            "sub_code": sub_code,
            "sub_msg": sub_msg,
        }
