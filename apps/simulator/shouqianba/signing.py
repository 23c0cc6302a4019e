"""Shouqianba's signatures, seen from the platform's side (dossier 2.2, 2.6, 2.7).

The simulator has its own code for this on purpose: it shares nothing with the product, so a signing mistake
cannot cancel itself out.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorization:
    """The header ``Authorization: <sn> <sign>``: who signs, and the MD5 in hex."""

    sn: str
    sign: str


def parse_authorization(header: str) -> Authorization | None:
    """Read the header; None unless it is two words with one space between them."""
    words = header.split(" ")
    if len(words) != 2 or not all(words):
        return None
    return Authorization(sn=words[0], sign=words[1])


def request_sign(body: bytes, key: str) -> str:
    """``md5(body + key)`` in lower-case hex, over the bytes as sent."""
    return hashlib.md5(body + key.encode(), usedforsecurity=False).hexdigest()


def request_is_signed(body: bytes, *, key: str, sign: str) -> bool:
    """Whether that key signed those bytes; clients send either case of hex. An empty key signs nothing."""
    return bool(key) and hmac.compare_digest(
        request_sign(body, key).encode(), sign.lower().encode()
    )


def gateway_text(params: Mapping[str, str]) -> str:
    """What WAP2 signs, but for the key: no sign, sign_type or empty values; sorted, raw, joined by &."""
    return "&".join(
        f"{name}={params[name]}"
        for name in sorted(params)
        if name not in {"sign", "sign_type"} and params[name]
    )


def gateway_sign(params: Mapping[str, str], key: str) -> str:
    """The upper-case MD5 of WAP2's parameters, for the way there and for the way back."""
    text = f"{gateway_text(params)}&key={key}"
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest().upper()
