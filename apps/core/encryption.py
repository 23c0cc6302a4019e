"""Encryption at rest: AES-256-GCM under a key derived for each merchant and purpose, with rotating master keys.

A sealed value is ``version(1) | key id length(1) | key id | nonce(12) | ciphertext+tag``. Settings hold the master keys
as ``ENCRYPTION_KEYS = ["2026b:<base64>", "2026a:<base64>"]``: the first seals, all open. ``rotate_keys`` seals old
values again, after which an old key can be taken away.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

_VERSION = b"\x01"


class CannotOpen(Exception):
    """A sealed value does not open: another merchant's, another purpose's, damaged, or its key is gone."""


def _masters() -> dict[str, bytes]:
    masters: dict[str, bytes] = {}
    for entry in settings.ENCRYPTION_KEYS:
        key_id, _, encoded = entry.partition(":")
        masters[key_id] = base64.b64decode(encoded)
    return masters


# Asked for several times a request; what it holds can be told from the settings anyway.
@lru_cache(maxsize=1024)
def _derive(master: bytes, *, merchant_id: int, purpose: str) -> bytes:
    return HKDF(
        algorithm=SHA256(), length=32, salt=None, info=f"portal/{purpose}/{merchant_id}".encode()
    ).derive(master)


def current_key_id() -> str:
    """The id of the key that seals new values."""
    return next(iter(_masters()))


def key_id_of(sealed: bytes) -> str:
    """The id of the master key that a sealed value needs."""
    return bytes(sealed[2 : 2 + sealed[1]]).decode()


def seal(plain: bytes, *, merchant_id: int, purpose: str) -> bytes:
    """Encrypt for one merchant and one purpose; neither can open the other's."""
    key_id, master = next(iter(_masters().items()))
    nonce = os.urandom(12)
    head = _VERSION + bytes([len(key_id)]) + key_id.encode()
    key = _derive(master, merchant_id=merchant_id, purpose=purpose)
    return head + nonce + AESGCM(key).encrypt(nonce, plain, head)


def unseal(sealed: bytes, *, merchant_id: int, purpose: str) -> bytes:
    """Decrypt what ``seal`` made. Raises CannotOpen."""
    sealed = bytes(sealed)
    if len(sealed) < 2 or sealed[:1] != _VERSION:
        raise CannotOpen("not a sealed value")
    end = 2 + sealed[1]
    master = _masters().get(sealed[2:end].decode("ascii", "replace"))
    if master is None:
        raise CannotOpen("the key that sealed this value is not in ENCRYPTION_KEYS")
    key = _derive(master, merchant_id=merchant_id, purpose=purpose)
    try:
        return AESGCM(key).decrypt(sealed[end : end + 12], sealed[end + 12 :], sealed[:end])
    except (InvalidTag, ValueError) as error:
        raise CannotOpen("the value does not open under this merchant and purpose") from error


def keyed_hash(value: str, *, merchant_id: int, purpose: str) -> str:
    """A hash that recognises an equal value again but cannot be reversed or compared across merchants (hex)."""
    # Hashes must stay comparable when sealing keys change: HASH_KEY, or the oldest key while none is set.
    given = settings.HASH_KEY
    master = base64.b64decode(given) if given else list(_masters().values())[-1]
    key = _derive(master, merchant_id=merchant_id, purpose=f"hash/{purpose}")
    return hmac.new(key, value.encode(), hashlib.sha256).hexdigest()
