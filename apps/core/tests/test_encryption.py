"""Sealed values open only for their merchant and purpose, and survive a change of keys."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from apps.core.encryption import CannotOpen, current_key_id, key_id_of, keyed_hash, seal, unseal


def test_round_trip_and_nothing_in_the_clear() -> None:
    sealed = seal(b"secret key", merchant_id=1, purpose="credentials")
    assert b"secret" not in sealed
    assert unseal(sealed, merchant_id=1, purpose="credentials") == b"secret key"
    assert seal(b"secret key", merchant_id=1, purpose="credentials") != sealed


@pytest.mark.parametrize(("merchant_id", "purpose"), [(2, "credentials"), (1, "notification")])
def test_another_merchant_or_purpose_cannot_open(merchant_id: int, purpose: str) -> None:
    sealed = seal(b"x", merchant_id=1, purpose="credentials")
    with pytest.raises(CannotOpen):
        unseal(sealed, merchant_id=merchant_id, purpose=purpose)


@pytest.mark.parametrize("position", [0, 1, 3, 12, -1])
def test_a_changed_byte_does_not_open(position: int) -> None:
    sealed = bytearray(seal(b"x" * 20, merchant_id=1, purpose="p"))
    sealed[position] ^= 1
    with pytest.raises(CannotOpen):
        unseal(bytes(sealed), merchant_id=1, purpose="p")


@pytest.mark.parametrize("junk", [b"", b"\x01", b"\x01\x05ab", b"hello"])
def test_junk_does_not_open(junk: bytes) -> None:
    with pytest.raises(CannotOpen):
        unseal(junk, merchant_id=1, purpose="p")


def test_keys_rotate(settings: Any) -> None:
    old = seal(b"x", merchant_id=1, purpose="p")
    fresh = "new:" + base64.b64encode(b"n" * 32).decode()
    keys = list(settings.ENCRYPTION_KEYS)
    settings.ENCRYPTION_KEYS = [fresh, *keys]
    assert current_key_id() == "new"
    assert key_id_of(seal(b"x", merchant_id=1, purpose="p")) == "new"
    assert unseal(old, merchant_id=1, purpose="p") == b"x"
    settings.ENCRYPTION_KEYS = [fresh]
    with pytest.raises(CannotOpen, match="ENCRYPTION_KEYS"):
        unseal(old, merchant_id=1, purpose="p")


def test_hashes_are_stable_within_a_merchant_and_useless_across() -> None:
    one = keyed_hash("openid", merchant_id=1, purpose="payer")
    assert one == keyed_hash("openid", merchant_id=1, purpose="payer")
    assert one != keyed_hash("openid", merchant_id=2, purpose="payer")
    assert one != keyed_hash("openid", merchant_id=1, purpose="other")
