"""Signatures of the Alipay OpenAPI gateway, seen from the platform's side.

The simulator has its own code for this on purpose: it shares nothing with the product, so a
signing mistake cannot cancel itself out. Source: dossier B3 (RSA2 = SHA256withRSA, PKCS#1 v1.5).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

from apps.simulator import keys


def raw_params(query: bytes) -> dict[bytes, bytes]:
    """Decode ``application/x-www-form-urlencoded`` to bytes, before any charset is known.

    A key given twice keeps its first value. Raises ValueError for more than 100 fields.
    """
    fields: dict[bytes, bytes] = {}
    pairs = [pair for pair in query.split(b"&") if pair]
    if len(pairs) > 100:
        raise ValueError("too many fields")
    for pair in pairs:
        key, _, value = pair.replace(b"+", b" ").partition(b"=")
        fields.setdefault(unquote_to_bytes(key), unquote_to_bytes(value))
    return fields


def request_text(fields: Mapping[bytes, bytes]) -> bytes:
    """The signed bytes of a request: all fields but ``sign``, non-empty, sorted, not URL-encoded."""
    return b"&".join(
        key + b"=" + fields[key] for key in sorted(fields) if key != b"sign" and fields[key]
    )


def notice_text(fields: Mapping[str, str]) -> str:
    """The signed text of a notice or return URL: without ``sign`` and also without ``sign_type``."""
    return "&".join(
        f"{key}={fields[key]}"
        for key in sorted(fields)
        if key not in {"sign", "sign_type"} and fields[key]
    )


def sign(text: str, *, private_key: str, charset: str) -> str:
    """The base64 RSA2 signature of a text in a charset."""
    return keys.rsa_sign(private_key, text.encode(charset, "replace"))


def answer_json(fields: Mapping[str, object]) -> str:
    r"""An answer node as the gateway writes it: compact, and ``/`` written ``\/``.

    A slash never occurs in JSON outside strings, so the plain replacement is safe. Clients must
    verify this very text, not a re-serialised one.
    """
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).replace("/", "\\/")
