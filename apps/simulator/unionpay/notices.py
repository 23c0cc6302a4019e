"""UnionPay's notices: a signed form POST to backUrl, for what succeeded only (dossier 1.7)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from apps.simulator.models import Notice, NoticeKind, Order, Refund, RefundState
from apps.simulator.unionpay import certificates, records, signing, wire
from apps.simulator.unionpay.gateway import signer_for

#: Five sends in all, with 0, 1, 2 and 4 minutes between them: the first repeat comes at once.
RETRY_SECONDS: tuple[int, ...] = (0, 60, 120, 240)
TIMEOUT_SECONDS = 10.0


def notify_url(*, order: Order, refund: Refund | None, kind: str) -> str:
    """The transaction's own backUrl; failures are silent."""
    if order.extra.get("history"):
        return ""
    if refund is not None:
        return refund.notify_url if refund.state == RefundState.SUCCESS else ""
    return order.notify_url if kind == NoticeKind.PAID else ""


def snapshot(*, order: Order, refund: Refund | None, kind: str, now: datetime) -> dict[str, Any]:
    """The notice's fields but for the certificate and the signature."""
    if refund is not None:
        return told(
            records.head_of_refund(refund) | records.settled_refund(refund),
            records.refund_code(refund),
        )
    return paid_fields(order)


def paid_fields(order: Order) -> dict[str, str]:
    """What is told of a payment, to the merchant's server and through the payer's browser."""
    account = {"accNo": order.payer_id} if order.payer_id else {}
    return told(
        records.head_of_order(order) | records.settled_order(order) | account,
        records.payment_code(order),
    )


def told(fields: dict[str, str], code: str) -> dict[str, str]:
    """The fields with their verdict."""
    return {**fields, "respCode": code, "respMsg": wire.MESSAGES[code]}


def build_notice(*, notice: Notice, now: datetime, forged: bool) -> tuple[dict[str, str], bytes]:
    """Headers and form body of one attempt. A forger signs with a certificate of its own in the platform's name."""
    config = notice.order.merchant.config
    signer = certificates.self_made() if forged else signer_for(config, "notice")
    fields = signed_fields(notice.payload, signer)
    charset = fields["encoding"]
    return (
        {"Content-Type": f"application/x-www-form-urlencoded;charset={charset}"},
        wire.write_form(fields),
    )


def signed_fields(fields: dict[str, str], signer: certificates.Signer) -> dict[str, str]:
    """A message with its certificate and its signature."""
    whole = {**fields, "signPubKeyCert": signer.field}
    return {**whole, "signature": signing.sign(whole, private_key=signer.private_key)}


def accepted(*, status: int, body: bytes) -> bool:
    """200 or 302 end the repeats; the body is not looked at."""
    return status in {200, 302}
