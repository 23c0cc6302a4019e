"""What is left of API v2: the XML notice of a refund, which the platform sends when the portal's refund URL is set.

It is not signed; its ``req_info`` is sealed with AES-256-ECB under the MD5 (hex, small letters) of the v2 key.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Mapping
from xml.sax.saxutils import escape

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from apps.simulator import clock
from apps.simulator.models import Merchant, Refund, RefundState

_STATUS = {
    RefundState.SUCCESS.value: "SUCCESS",
    RefundState.ABNORMAL.value: "CHANGE",
    RefundState.CLOSED.value: "REFUNDCLOSE",
}


def refund_fields(refund: Refund) -> dict[str, str]:
    """The plaintext's fields, named as v2 names them; amounts in fen."""
    order = refund.order
    finished = refund.finished_at
    return {
        "transaction_id": order.trade_no,
        "out_trade_no": order.out_trade_no,
        "refund_id": refund.refund_no,
        "out_refund_no": refund.out_refund_no,
        "total_fee": str(order.amount_fen),
        "settlement_total_fee": str(order.amount_fen),
        "refund_fee": str(refund.amount_fen),
        "settlement_refund_fee": str(refund.amount_fen),
        "refund_status": _STATUS.get(refund.state, "CHANGE"),
        "success_time": clock.beijing_text(finished) if finished else "",
        "refund_recv_accout": "支付用户零钱",
        "refund_account": "REFUND_SOURCE_UNSETTLED_FUNDS",
        "refund_request_source": "API",
    }


def refund_notice(*, merchant: Merchant, fields: Mapping[str, str]) -> tuple[dict[str, str], bytes]:
    """Headers and body of one attempt."""
    plain = _xml("root", fields).encode()
    v2_key: str = merchant.config.get("api_v2_key") or merchant.config["api_v3_key"]
    key = hashlib.md5(v2_key.encode(), usedforsecurity=False).hexdigest()
    body = _xml(
        "xml",
        {
            "return_code": "SUCCESS",
            "appid": merchant.app_id,
            "mch_id": merchant.merchant_no,
            "nonce_str": secrets.token_hex(16),
            "req_info": base64.b64encode(seal(key, plain)).decode("ascii"),
        },
    ).encode()
    return {"Content-Type": "text/xml", "User-Agent": "Mozilla/4.0", "Accept": "*/*"}, body


def _xml(root: str, fields: Mapping[str, str]) -> str:
    inner = "".join(
        f"<{name}>{escape(value)}</{name}>\n" for name, value in fields.items() if value
    )
    return f"<{root}>\n{inner}</{root}>"


def seal(key: str, plain: bytes) -> bytes:
    """AES-256-ECB with PKCS#7 padding; the key is 32 ASCII characters."""
    padder = padding.PKCS7(128).padder()
    sealing = Cipher(algorithms.AES(key.encode("ascii")), modes.ECB()).encryptor()  # noqa: S305
    return sealing.update(padder.update(plain) + padder.finalize()) + sealing.finalize()
