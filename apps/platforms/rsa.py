"""RSA keys as people paste them, and PKCS#1 v1.5 signatures with SHA-256, for the connectors. Free of Django."""

from __future__ import annotations

import base64
import binascii
import re
from functools import lru_cache

from cryptography.exceptions import InvalidSignature as SignatureMismatch
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey


class UnusableKey(ValueError):
    """The text is not a key of the wanted sort.

    ``reason`` is a stable word: ``"empty"``, ``"public"`` (a public key where a private one belongs), ``"private"``,
    ``"certificate"``, ``"encrypted"``, ``"not_rsa"``, ``"weak"``, ``"garbled"``.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"unusable key: {reason}")
        self.reason = reason


def _armour(text: str) -> tuple[str, bytes]:
    """The PEM label (empty for bare base64) and the DER bytes."""
    text = text.strip().lstrip("\ufeff")
    if not text:
        raise UnusableKey("empty")
    label = ""
    match = re.match(r"-----BEGIN ([A-Z0-9 ]+)-----(.*?)-----END \1-----", text, re.DOTALL)
    if match is not None:
        label, text = match.group(1), match.group(2)
    if "ENCRYPTED" in label or "Proc-Type" in text:
        raise UnusableKey("encrypted")
    try:
        return label, base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise UnusableKey("garbled") from error


def _is_public(der: bytes) -> bool:
    try:
        serialization.load_der_public_key(der)
    except ValueError:
        return False
    return True


# Loading checks the primes, which takes longer than signing does: keep what was loaded.
@lru_cache(maxsize=256)
def load_private_key(text: str) -> RSAPrivateKey:
    """Read an RSA private key: PEM or bare base64, PKCS#8 or PKCS#1. Raises UnusableKey."""
    label, der = _armour(text)
    if "CERTIFICATE" in label:
        raise UnusableKey("certificate")
    try:
        key = serialization.load_der_private_key(der, password=None)
    except TypeError as error:
        raise UnusableKey("encrypted") from error
    except ValueError as error:
        raise UnusableKey("public" if _is_public(der) else "garbled") from error
    if not isinstance(key, RSAPrivateKey):
        raise UnusableKey("not_rsa")
    if key.key_size < 2048:
        raise UnusableKey("weak")
    return key


@lru_cache(maxsize=256)
def load_public_key(text: str) -> RSAPublicKey:
    """Read an RSA public key: PEM or bare base64 (SubjectPublicKeyInfo or PKCS#1). Raises UnusableKey."""
    label, der = _armour(text)
    if "PRIVATE" in label:
        raise UnusableKey("private")
    if "CERTIFICATE" in label:
        raise UnusableKey("certificate")
    try:
        key = serialization.load_der_public_key(der)
    except ValueError as error:
        try:
            serialization.load_der_private_key(der, password=None)
        except (ValueError, TypeError):
            raise UnusableKey("garbled") from error
        raise UnusableKey("private") from error
    if not isinstance(key, RSAPublicKey):
        raise UnusableKey("not_rsa")
    return key


def same_key(private: RSAPrivateKey, public: RSAPublicKey) -> bool:
    """Whether the public key belongs to the private one: the commonest mistake when keys are pasted."""
    return private.public_key().public_numbers() == public.public_numbers()


def sign(key: RSAPrivateKey, message: bytes) -> str:
    """Base64 of the PKCS#1 v1.5 signature with SHA-256."""
    return base64.b64encode(key.sign(message, padding.PKCS1v15(), hashes.SHA256())).decode("ascii")


def verifies(key: RSAPublicKey, message: bytes, signature: str) -> bool:
    """Whether ``signature`` (base64) is right; text that is no base64 is simply wrong."""
    try:
        raw = base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        return False
    try:
        key.verify(raw, message, padding.PKCS1v15(), hashes.SHA256())
    except SignatureMismatch:
        return False
    return True
