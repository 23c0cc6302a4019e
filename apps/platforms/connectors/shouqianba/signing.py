"""Shouqianba's signatures: MD5 with the terminal's key on what we send, RSA on what it tells us by itself.

Its answers to our calls carry no signature: that they come from Shouqianba rests on TLS alone.
Sources: Shouqianba Web API documentation (API guide, WAP2 appendix); for callbacks, which it does not describe, four
independent clients agree.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from apps.platforms import rsa

_UNSIGNED = frozenset({"sign", "sign_type"})


class SignatureRefused(Exception):
    """A callback is not signed by Shouqianba. ``reason`` is ``"missing"`` or ``"wrong"``."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def body_sign(body: bytes, key: str) -> str:
    """MD5 over the very bytes that are sent, followed by the key; lower-case hex, as the official demo sends it."""
    return hashlib.md5(body + key.encode(), usedforsecurity=False).hexdigest()


def authorization(*, sn: str, key: str, body: bytes) -> str:
    """The header ``Authorization``: who calls (terminal or vendor) and the signature, one space between."""
    return f"{sn} {body_sign(body, key)}"


def page_text(parameters: Mapping[str, str]) -> str:
    """What is signed of a cashier page's address: sorted, not encoded, empty values and the signature left out."""
    return "&".join(
        f"{name}={value}"
        for name, value in sorted(parameters.items())
        if value and name not in _UNSIGNED
    )


def page_sign(parameters: Mapping[str, str], key: str) -> str:
    """MD5 over ``page_text`` and the key; upper-case hex."""
    text = f"{page_text(parameters)}&key={key}"
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest().upper()


def verify_callback(*, key: RSAPublicKey, authorization: str, body: bytes) -> None:
    """Check a callback over its raw bytes. Raises SignatureRefused.

    The header is ``<terminal_sn> <base64>``; some clients were seen to get the signature alone. The number in front is
    not signed and proves nothing.
    """
    signature = authorization.strip().rpartition(" ")[2]
    if not signature:
        raise SignatureRefused("missing")
    if not rsa.verifies(key, body, signature):
        raise SignatureRefused("wrong")
