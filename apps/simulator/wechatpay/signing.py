"""WeChat Pay's signatures as the platform makes and checks them (dossier A3)."""

from __future__ import annotations

import random
import re
import secrets
from dataclasses import dataclass
from datetime import datetime

from apps.simulator import faults, keys
from apps.simulator.models import Merchant
from apps.simulator.wechatpay.certificates import known_serials

SCHEME = "WECHATPAY2-SHA256-RSA2048"
#: Largest difference between a request's time stamp and true time, in seconds.
MAX_SKEW_SECONDS = 300
#: What the platform's probes put in place of a signature.
PROBE = "WECHATPAY/SIGNTEST/"

_PAIR = re.compile(r'\s*(\w+)="([^"]*)"\s*')
_NAMES = frozenset({"mchid", "nonce_str", "signature", "timestamp", "serial_no"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorization:
    """The parts of an Authorization header."""

    mchid: str
    nonce: str
    signature: str
    timestamp: str
    serial_no: str


def parse_authorization(header: str) -> Authorization | None:
    """The header's parts in any order, or None if it is not of the right form."""
    scheme, _, rest = header.partition(" ")
    if scheme != SCHEME:
        return None
    parts: dict[str, str] = {}
    for piece in rest.split(","):
        match = _PAIR.fullmatch(piece)
        if match is None:
            return None
        parts[match[1]] = match[2]
    if set(parts) != _NAMES or not all(parts.values()):
        return None
    return Authorization(
        mchid=parts["mchid"],
        nonce=parts["nonce_str"],
        signature=parts["signature"],
        timestamp=parts["timestamp"],
        serial_no=parts["serial_no"],
    )


def request_message(*, method: str, target: str, timestamp: str, nonce: str, body: bytes) -> bytes:
    """What a client signs: method, path with query exactly as sent, time, nonce, body, a line each."""
    return f"{method}\n{target}\n{timestamp}\n{nonce}\n".encode() + body + b"\n"


def response_message(*, timestamp: str, nonce: str, body: bytes) -> bytes:
    """What the platform signs, in answers and in notices."""
    return f"{timestamp}\n{nonce}\n".encode() + body + b"\n"


def pay_sign_message(*, app_id: str, timestamp: str, nonce: str, package: str) -> bytes:
    """What a page signs to call the wallet's cashier (paySign)."""
    return f"{app_id}\n{timestamp}\n{nonce}\n{package}\n".encode()


def signing_key(merchant: Merchant, wanted_serial: str = "") -> tuple[str, str]:
    """The platform's (serial, private key) for this merchant.

    Mode "public_key" and "certificate" have one key each; in "both" (the switch-over) the request's
    Wechatpay-Serial decides, and without one the public key is used. The fault key_ramp decides by chance instead.
    """
    config = merchant.config
    mode = config.get("key_mode", "public_key")
    certificate = mode == "certificate"
    if mode == "both":
        certificate = wanted_serial in known_serials(config) - {config["public_key_id"]}
        ramp = faults.take("key_ramp", platform=merchant.platform)
        if ramp is not None:
            certificate = random.random() >= float(ramp["share"])
    if certificate:
        return config["platform_serial_no"], config["certificate_private_key"]
    return config["public_key_id"], config["platform_private_key"]


def platform_headers(
    merchant: Merchant,
    *,
    body: bytes,
    real_now: datetime,
    wanted_serial: str = "",
    forged: bool = False,
    probe: bool = False,
) -> dict[str, str]:
    """The Wechatpay-* headers over a body: freshly stamped, with true time.

    ``forged`` signs with a stranger's key, ``probe`` puts the vendor's test text in its place.
    """
    serial, private_key = signing_key(merchant, wanted_serial)
    timestamp = str(int(real_now.timestamp()))
    nonce = secrets.token_hex(16)
    message = response_message(timestamp=timestamp, nonce=nonce, body=body)
    signature = keys.rsa_sign(keys.stranger_key() if forged else private_key, message)
    if probe:
        signature = PROBE + signature[len(PROBE) :]
    return {
        "Wechatpay-Timestamp": timestamp,
        "Wechatpay-Nonce": nonce,
        "Wechatpay-Serial": serial,
        "Wechatpay-Signature": signature,
        "Wechatpay-Signature-Type": SCHEME,
    }
