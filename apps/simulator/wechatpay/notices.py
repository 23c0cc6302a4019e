"""WeChat Pay's notices: encrypted, signed afresh for each attempt (dossier A3)."""

from __future__ import annotations

import json
import secrets
from datetime import datetime
from typing import Any

from apps.simulator import clock, faults, keys, skew
from apps.simulator.models import Notice, NoticeKind, Order, Platform, Refund
from apps.simulator.wechatpay import objects, signing, v2

_MINUTE = 60
_HOUR = 3600
#: 15 repeats: 15s, 15s, 30s, 3m, 10m, 20m, 30m x3, 60m, 3h x3, 6h x2.
RETRY_SECONDS: tuple[int, ...] = (
    15,
    15,
    30,
    3 * _MINUTE,
    10 * _MINUTE,
    20 * _MINUTE,
    30 * _MINUTE,
    30 * _MINUTE,
    30 * _MINUTE,
    60 * _MINUTE,
    3 * _HOUR,
    3 * _HOUR,
    3 * _HOUR,
    6 * _HOUR,
    6 * _HOUR,
)
TIMEOUT_SECONDS = 5.0


def notify_url(*, order: Order, refund: Refund | None, kind: str) -> str:
    """Payments go to the order's URL, refunds to the refund's own; closing is never told.

    A merchant without an APIv3 key gets nothing at all.
    """
    if not order.merchant.config.get("api_v3_key"):
        return ""
    if kind == NoticeKind.PAID:
        return order.notify_url
    if kind == NoticeKind.REFUNDED and refund is not None:
        return refund.notify_url
    return ""


def snapshot(*, order: Order, refund: Refund | None, kind: str, now: datetime) -> dict[str, Any]:
    """The envelope's fields and the plaintext of its resource."""
    if refund is None:
        return {
            "event_type": "TRANSACTION.SUCCESS",
            "summary": "支付成功",
            "original_type": "transaction",
            "create_time": clock.rfc3339(now),
            "plaintext": objects.transaction(order, state="SUCCESS"),
        }
    old = faults.take("refund_notice_v2", platform=Platform.WECHATPAY) is not None
    summary = {"SUCCESS": "退款成功", "ABNORMAL": "退款异常", "CLOSED": "退款关闭"}
    return {
        "event_type": f"REFUND.{refund.state}",
        "summary": summary.get(refund.state, kind),
        "original_type": "refund",
        "create_time": clock.rfc3339(now),
        "plaintext": objects.refund_notice(refund),
        **({"v2": v2.refund_fields(refund)} if old else {}),
    }


def build_notice(*, notice: Notice, now: datetime, forged: bool) -> tuple[dict[str, str], bytes]:
    """Headers and body of one attempt; ``now`` is unused, signatures carry true time."""
    merchant = notice.order.merchant
    payload = notice.payload
    if "v2" in payload:
        return v2.refund_notice(merchant=merchant, fields=payload["v2"])
    nonce = secrets.token_hex(6)
    plaintext = json.dumps(payload["plaintext"], ensure_ascii=False, separators=(",", ":"))
    body = json.dumps(
        {
            "id": notice.notice_no,
            "create_time": payload["create_time"],
            "resource_type": "encrypt-resource",
            "event_type": payload["event_type"],
            "summary": payload["summary"],
            "resource": {
                "original_type": payload["original_type"],
                "algorithm": "AEAD_AES_256_GCM",
                "ciphertext": keys.aes_gcm_encrypt(
                    merchant.config["api_v3_key"],
                    nonce=nonce,
                    associated_data=payload["original_type"],
                    plaintext=plaintext.encode(),
                ),
                "associated_data": payload["original_type"],
                "nonce": nonce,
            },
        },
        ensure_ascii=False,
        separators=(",", ":"),
    ).encode()
    headers = signing.platform_headers(
        merchant,
        body=body,
        real_now=skew.now(Platform.WECHATPAY),
        forged=forged,
        probe=faults.take("signtest", platform=Platform.WECHATPAY) is not None,
    )
    return {
        "Content-Type": "application/json",
        "User-Agent": "Mozilla/4.0",
        "Accept": "*/*",
        **headers,
    }, body


def accepted(*, status: int, body: bytes) -> bool:
    """200 or 204 end the repeats, unless a body says FAIL. (A v2 notice wants XML that says SUCCESS; this is kinder.)"""
    if status not in (200, 204):
        return False
    if not body.strip():
        return True
    try:
        answer = json.loads(body)
    except (json.JSONDecodeError, UnicodeDecodeError):
        return True
    return not (isinstance(answer, dict) and answer.get("code") == "FAIL")
