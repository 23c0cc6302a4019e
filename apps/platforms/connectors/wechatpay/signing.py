"""WeChat Pay API v3: what is signed, by whom, and how notices are encrypted. Bytes and keys only.

Sources: WeChat Pay merchant documentation 4012365336 (requests), 4013053420 (answers), 4012365342 (paySign).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from datetime import datetime

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from apps.platforms import rsa

SCHEME = "WECHATPAY2-SHA256-RSA2048"
#: How far the platform's time stamp may be from ours, in seconds, either way.
WINDOW = 300
#: Signatures that the platform sends wrong on purpose, to see whether anybody checks.
PROBE = "WECHATPAY/SIGNTEST/"


class SignatureRefused(Exception):
    """A message of the platform does not verify.

    ``reason``: ``"missing"`` (headers), ``"timestamp"``, ``"serial"`` (no key of that number), ``"probe"``, ``"wrong"``.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class DoesNotOpen(ValueError):
    """A resource does not open with this APIv3 key."""


def request_message(*, method: str, target: str, timestamp: str, nonce: str, body: str) -> bytes:
    """The text signed for a request; ``target`` is the path with its query, as sent."""
    return f"{method}\n{target}\n{timestamp}\n{nonce}\n{body}\n".encode()


def answer_message(*, timestamp: str, nonce: str, body: bytes) -> bytes:
    """The bytes signed for an answer or a notice; ``body`` exactly as received."""
    return timestamp.encode() + b"\n" + nonce.encode() + b"\n" + body + b"\n"


def pay_message(*, app_id: str, timestamp: str, nonce: str, package: str) -> bytes:
    """The text behind ``paySign``; ``package`` is the whole value, ``prepay_id=…``."""
    return f"{app_id}\n{timestamp}\n{nonce}\n{package}\n".encode()


def authorization(
    *,
    key: RSAPrivateKey,
    merchant_no: str,
    serial_no: str,
    method: str,
    target: str,
    timestamp: str,
    nonce: str,
    body: str,
) -> str:
    """The value of the Authorization header."""
    signature = rsa.sign(
        key,
        request_message(method=method, target=target, timestamp=timestamp, nonce=nonce, body=body),
    )
    return (
        f'{SCHEME} mchid="{merchant_no}",nonce_str="{nonce}",signature="{signature}",'
        f'timestamp="{timestamp}",serial_no="{serial_no}"'
    )


def platform_keys(keys: Mapping[str, str]) -> dict[str, RSAPublicKey]:
    """The platform's keys by serial, from a merchant's credentials.

    A public key under its ``PUB_KEY_ID_…``, platform certificates under their serial number: during a change from one
    to the other the platform uses both. Raises UnusableKey.
    """
    found: dict[str, RSAPublicKey] = {}
    certificates = keys.get("platform_certificates", "")
    if certificates.strip():
        found.update(rsa.load_certificates(certificates))
    if keys.get("public_key", "").strip():
        found[_serial(keys.get("public_key_id", ""))] = rsa.load_public_key(keys["public_key"])
    return found


def verify(
    *,
    headers: Mapping[str, str],
    body: bytes,
    keys: Mapping[str, RSAPublicKey],
    now: datetime,
) -> None:
    """Check an answer or a notice over its raw bytes. Raises SignatureRefused."""
    timestamp = headers.get("wechatpay-timestamp", "")
    nonce = headers.get("wechatpay-nonce", "")
    serial = headers.get("wechatpay-serial", "")
    signature = headers.get("wechatpay-signature", "")
    if not (timestamp and nonce and serial and signature):
        raise SignatureRefused("missing")
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        raise SignatureRefused("timestamp")
    if abs(now.timestamp() - int(timestamp)) >= WINDOW:
        raise SignatureRefused("timestamp")
    if signature.startswith(PROBE):
        raise SignatureRefused("probe")
    key = keys.get(_serial(serial))
    if key is None:
        raise SignatureRefused("serial")
    message = answer_message(timestamp=timestamp, nonce=nonce, body=body)
    if not rsa.verifies(key, message, signature):
        raise SignatureRefused("wrong")


def decrypt(*, api_v3_key: str, nonce: str, associated_data: str, ciphertext: str) -> bytes:
    """Open an AES-256-GCM resource. Raises DoesNotOpen for a wrong key, ValueError for text that is none."""
    try:
        cipher = AESGCM(api_v3_key.encode())
    except ValueError as error:
        raise DoesNotOpen("the APIv3 key has a wrong length") from error
    try:
        sealed = base64.b64decode(ciphertext, validate=True)
    except binascii.Error as error:
        raise ValueError("the resource is no base64") from error
    try:
        return cipher.decrypt(nonce.encode(), sealed, associated_data.encode())
    except InvalidTag as error:
        raise DoesNotOpen("the resource does not open with the APIv3 key") from error


def _serial(text: str) -> str:
    return text.strip().upper()
