"""WeChat Pay API v3: what is signed, by whom, and how notices are encrypted. Bytes and keys only.

Sources: WeChat Pay merchant documentation 4012365336 (requests), 4013053420 (answers), 4012365342 (paySign), 4013053257
(sensitive fields).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from apps.platforms import certificates, rsa

SCHEME = "WECHATPAY2-SHA256-RSA2048"
#: How far the platform's time stamp may be from ours, in seconds, either way.
WINDOW = 300
#: Signatures that the platform sends wrong on purpose, to see whether anybody checks.
PROBE = "WECHATPAY/SIGNTEST/"

_PUBLIC_KEY = re.compile(r"-----BEGIN ([A-Z ]+)-----.*?-----END \1-----", re.DOTALL)


class SignatureRefused(Exception):
    """A message of the platform does not verify.

    ``reason``: ``"missing"`` (headers), ``"timestamp"``, ``"serial"`` (no key of that number), ``"expired"`` (a certificate
    past its time), ``"probe"``, ``"wrong"``.
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


@dataclass(frozen=True, slots=True)
class PlatformKey:
    """A key that the platform signs with. A certificate has its time; a bare public key has none."""

    public: RSAPublicKey
    from_at: datetime | None = None
    until_at: datetime | None = None

    def is_valid(self, *, at: datetime) -> bool:
        """Whether it may be trusted ``at`` (aware)."""
        return (self.from_at is None or self.from_at <= at) and (
            self.until_at is None or at <= self.until_at
        )


def public_key_ids(keys: Mapping[str, str]) -> list[str]:
    """The ids of the platform's public keys; while it changes one there may be several."""
    return [one for one in re.split(r"[\s,;，；]+", keys.get("public_key_id", "")) if one]


def public_keys(keys: Mapping[str, str]) -> list[str]:
    """The platform's public keys as pasted, one after another, in the order of their ids."""
    text = keys.get("public_key", "").strip()
    blocks = [match.group() for match in _PUBLIC_KEY.finditer(text)]
    return blocks or ([text] if text else [])


def platform_keys(keys: Mapping[str, str]) -> dict[str, PlatformKey]:
    """The platform's keys by serial, from a merchant's credentials.

    Public keys under their ``PUB_KEY_ID_…``, platform certificates under their serial number: during a change from one
    to the other the platform uses both. Raises UnusableKey.
    """
    return dict(
        _platform_keys(
            tuple(public_key_ids(keys)),
            tuple(public_keys(keys)),
            keys.get("platform_certificates", ""),
        )
    )


# Asked for at every answer.
@lru_cache(maxsize=256)
def _platform_keys(
    ids: tuple[str, ...], public: tuple[str, ...], pasted: str
) -> tuple[tuple[str, PlatformKey], ...]:
    found: list[tuple[str, PlatformKey]] = []
    if pasted.strip():
        for one in certificates.load_all(pasted):
            key = PlatformKey(
                certificates.rsa_key(one), one.not_valid_before_utc, one.not_valid_after_utc
            )
            found.append((certificates.serial_of(one), key))
    for serial, text in zip(ids or ("",), public, strict=False):
        found.append((_serial(serial), PlatformKey(rsa.load_public_key(text))))
    return tuple(found)


def sealing_key(keys: Mapping[str, str], *, now: datetime) -> tuple[str, RSAPublicKey] | None:
    """The serial and the key to encrypt for the platform with: the public key, else the youngest certificate.

    None when there is no key valid ``now``. Raises UnusableKey.
    """
    held = platform_keys(keys)
    for serial in public_key_ids(keys):
        if _serial(serial) in held:
            return serial, held[_serial(serial)].public
    dated = [
        (one.from_at, serial)
        for serial, one in held.items()
        if one.from_at is not None and one.is_valid(at=now)
    ]
    if not dated:
        return None
    serial = max(dated)[1]
    return serial, held[serial].public


def seal(key: RSAPublicKey, text: str) -> str:
    """A sensitive field for the platform's eyes only: RSA-OAEP with SHA-1, base64. Raises ValueError for a long text."""
    oaep = padding.OAEP(mgf=padding.MGF1(hashes.SHA1()), algorithm=hashes.SHA1(), label=None)  # noqa: S303  # as prescribed
    return base64.b64encode(key.encrypt(text.encode(), oaep)).decode("ascii")


def verify(
    *,
    headers: Mapping[str, str],
    body: bytes,
    keys: Mapping[str, PlatformKey],
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
    if not key.is_valid(at=now):
        raise SignatureRefused("expired")
    message = answer_message(timestamp=timestamp, nonce=nonce, body=body)
    if not rsa.verifies(key.public, message, signature):
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
