"""Shouqianba's callbacks: signed JSON, for payments, cancellations and refunds (dossier 2.7)."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from apps.simulator import faults, keys
from apps.simulator.models import Notice, NoticeKind, Order, Platform, Refund, RefundState
from apps.simulator.shouqianba import objects

RETRY_SECONDS: tuple[int, ...] = (1, 5, 30, 600)
TIMEOUT_SECONDS = 5.0


def notify_url(*, order: Order, refund: Refund | None, kind: str) -> str:
    """The order's own address for everything; a refund that did not succeed is not told, and history is silent."""
    if order.extra.get("history"):
        return ""
    if kind == NoticeKind.REFUNDED and (refund is None or refund.state != RefundState.SUCCESS):
        return ""
    return order.notify_url if order.notify_url.startswith(("http://", "https://")) else ""


def snapshot(*, order: Order, refund: Refund | None, kind: str, now: datetime) -> dict[str, Any]:
    """The data of a query at that moment, with the record of this refund."""
    return objects.data(order, now=now, shown=refund)


def build_notice(*, notice: Notice, now: datetime, forged: bool) -> tuple[dict[str, str], bytes]:
    """Headers and body; the signature stands over the body's bytes. The fault wrong_signature forges it as well."""
    body = json.dumps(notice.payload, ensure_ascii=False, separators=(",", ":")).encode()
    stranger = forged or faults.take("wrong_signature", platform=Platform.SHOUQIANBA) is not None
    key = (
        keys.stranger_key()
        if stranger
        else str(notice.order.merchant.config["platform_private_key"])
    )
    return {
        "Content-Type": "application/json;charset=UTF-8",
        "User-Agent": "Apache-HttpClient/4.5",
        "Authorization": f"{notice.payload['terminal_sn']} {keys.rsa_sign(key, body)}",
    }, body


def accepted(*, status: int, body: bytes) -> bool:
    """Only HTTP 200 with the word ``success`` ends the repeats."""
    return status == 200 and body == b"success"
