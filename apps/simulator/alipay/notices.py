"""Alipay's asynchronous notices: a signed form POST to the payment's notify_url (dossier B3).

Also those of refunds go there; a notify_url given with a refund is ignored by the platform.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any
from urllib.parse import quote_plus

from apps.simulator import clock, keys
from apps.simulator.alipay import signing
from apps.simulator.alipay.wire import yuan
from apps.simulator.models import Notice, NoticeKind, Order, Refund, RefundState

RETRY_SECONDS: tuple[int, ...] = (240, 600, 600, 3600, 7200, 21600, 54000)
TIMEOUT_SECONDS = 10.0


def notify_url(*, order: Order, refund: Refund | None, kind: str) -> str:
    """The payment's notify_url; nowhere while no trade exists, or for a refund that failed."""
    if not order.trade_exists or order.extra.get("history"):
        return ""
    if refund is not None and refund.state != RefundState.SUCCESS:
        return ""
    return order.notify_url


def snapshot(*, order: Order, refund: Refund | None, kind: str, now: datetime) -> dict[str, Any]:
    """The notice's fields but for those of a single attempt (time, id, signature)."""
    merchant = order.merchant
    refunded = refunded_fen(order)
    closed = kind == NoticeKind.CLOSED or (refund is not None and refunded >= order.amount_fen)
    fields = {
        "notify_type": "trade_status_sync",
        "app_id": merchant.app_id,
        "auth_app_id": merchant.app_id,
        "version": "1.0",
        "charset": order.extra.get("charset", "utf-8"),
        "trade_no": order.trade_no,
        "out_trade_no": order.out_trade_no,
        "out_biz_no": refund.out_refund_no if refund else "",
        "buyer_id": order.payer_id,
        "buyer_logon_id": order.payer_login,
        "seller_id": merchant.merchant_no,
        "seller_email": f"{merchant.merchant_no}@simulator.invalid",
        "trade_status": "TRADE_CLOSED" if closed else "TRADE_SUCCESS",
        "total_amount": yuan(order.amount_fen),
        "subject": order.description,
        "body": order.extra.get("body", ""),
        "gmt_create": clock.beijing_text(order.created_at),
        "passback_params": order.attach,
    }
    if order.paid_at is not None:
        amount = yuan(order.amount_fen)
        fields |= {
            "receipt_amount": amount,
            "invoice_amount": amount,
            "buyer_pay_amount": amount,
            "point_amount": "0.00",
            "gmt_payment": clock.beijing_text(order.paid_at),
            "fund_bill_list": json.dumps(
                [{"amount": amount, "fundChannel": "ALIPAYACCOUNT"}], separators=(",", ":")
            ),
        }
    if refund is not None:
        moment = (refund.finished_at or now).astimezone(clock.BEIJING)
        fields |= {
            "refund_fee": yuan(refunded),
            "gmt_refund": moment.strftime("%Y-%m-%d %H:%M:%S.")
            + f"{moment.microsecond // 1000:03d}",
        }
    if closed:
        fields["gmt_close"] = clock.beijing_text(order.closed_at or now)
    return {key: value for key, value in fields.items() if value}


def build_notice(*, notice: Notice, now: datetime, forged: bool) -> tuple[dict[str, str], bytes]:
    """Headers and form body of one attempt; notify_id stays the same over all attempts."""
    config = notice.order.merchant.config
    fields: dict[str, str] = {
        **notice.payload,
        "notify_id": notice_id(notice),
        "notify_time": clock.beijing_text(now),
    }
    charset = fields["charset"]
    fields["sign"] = signing.sign(
        signing.notice_text(fields),
        private_key=keys.stranger_key() if forged else config["platform_private_key"],
        charset=charset,
    )
    fields["sign_type"] = "RSA2"
    body = "&".join(
        f"{key}={quote_plus(value.encode(charset, 'replace'))}" for key, value in fields.items()
    )
    headers = {
        "Content-Type": f"application/x-www-form-urlencoded; charset={charset}",
        "User-Agent": "Mozilla/4.0",
    }
    return headers, body.encode("ascii")


def accepted(*, status: int, body: bytes) -> bool:
    """Only HTTP 200 with exactly the seven bytes ``success`` ends the repeats."""
    return status == 200 and body == b"success"


def notice_id(notice: Notice) -> str:
    """The platform's notify_id."""
    return notice.notice_no.removeprefix("EV-")


def refunded_fen(order: Order) -> int:
    """What has really gone back to the buyer so far."""
    return sum(
        refund.amount_fen
        for refund in Refund.objects.filter(order=order, state=RefundState.SUCCESS)
    )
