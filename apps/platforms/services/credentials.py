"""Opening and sealing what an account's connector needs. Nothing here returns a secret to a page or a log."""

from __future__ import annotations

import json
from collections.abc import Mapping

from apps.core import encryption
from apps.platforms.gateway import Credentials
from apps.platforms.models import PlatformAccount

PURPOSE = "credentials"


def credentials_of(account: PlatformAccount) -> Credentials:
    """The credentials, opened, for a connector. Raises CannotOpen."""
    plain = encryption.unseal(
        bytes(account.credentials_sealed), merchant_id=account.merchant_id, purpose=PURPOSE
    )
    return Credentials(
        app_id=account.app_id, merchant_no=account.merchant_no, keys=json.loads(plain)
    )


def sealed(keys: Mapping[str, str], merchant_id: int, *, purpose: str = PURPOSE) -> bytes:
    """Keys by name, sealed for one merchant."""
    plain = json.dumps(dict(keys), ensure_ascii=False, sort_keys=True).encode()
    return encryption.seal(plain, merchant_id=merchant_id, purpose=purpose)


def fingerprints_of(account: PlatformAccount) -> dict[str, str]:
    """For each stored key eight characters by which to tell whether it changed; they reveal nothing of it.

    Raises CannotOpen.
    """
    return {
        name: fingerprint(name, value, account.merchant_id)[:8]
        for name, value in credentials_of(account).keys.items()
        if value
    }


def fingerprint(name: str, value: str, merchant_id: int) -> str:
    """A keyed hash of one key, by which to tell whether it changed; it reveals nothing of it."""
    return encryption.keyed_hash(
        f"{name}:{value}", merchant_id=merchant_id, purpose="credential-fingerprint"
    )
