"""Signatures of ACP 5.1.0, signMethod 01 (dossier 1.4), written from the platform's side.

The simulator has its own code for this on purpose: it shares nothing with the product, so a signing mistake cannot
cancel itself out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from apps.simulator import keys


def signed_text(fields: Mapping[str, str]) -> str:
    """``k=v&k=v`` of all fields but ``signature``, blank ones left out, trimmed, in byte order, not URL-encoded."""
    return "&".join(
        f"{name}={fields[name].strip()}"
        for name in sorted(fields, key=lambda name: name.encode())
        if name != "signature" and fields[name].strip()
    )


def _digest(fields: Mapping[str, str]) -> bytes:
    """The 64 hex digits that are signed: of the text in the message's own encoding."""
    charset = fields.get("encoding", "UTF-8")
    return hashlib.sha256(signed_text(fields).encode(charset)).hexdigest().encode("ascii")


def sign(fields: Mapping[str, str], *, private_key: str) -> str:
    """The base64 signature. Hashed twice: RSA with SHA-256 over the hex digits of a SHA-256."""
    return keys.rsa_sign(private_key, _digest(fields))


def verify(fields: Mapping[str, str], *, public_key: str) -> bool:
    """Whether ``fields["signature"]`` is that key's over these fields."""
    return keys.rsa_verify(public_key, _digest(fields), fields.get("signature", ""))
