"""The keys of a terminal: how they are kept, and how it calls by them."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Final

from apps.core import encryption
from apps.platforms.gateway import Credentials
from apps.platforms.models import AccountTerminal, PlatformAccount
from apps.platforms.services.credentials import sealed

PURPOSE: Final = "terminal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """What a terminal may sign with: the key of the last check-in, and the one before."""

    current: str
    previous: str = ""

    def __repr__(self) -> str:
        return "Keys(…)"


def keys_of(row: AccountTerminal) -> Keys:
    """The keys of a terminal, opened. Raises CannotOpen."""
    plain = encryption.unseal(bytes(row.keys_sealed), merchant_id=row.merchant_id, purpose=PURPOSE)
    return Keys(**json.loads(plain))


def sealed_keys(keys: Keys, merchant_id: int) -> bytes:
    """A terminal's keys as they are stored, see ``keys_of``."""
    held = {"current": keys.current, "previous": keys.previous}
    return sealed(held, merchant_id, purpose=PURPOSE)


def reseal(account: PlatformAccount) -> bool:
    """Seal the keys of an account's terminals again under the current key; False if all are. Raises CannotOpen."""
    changed = False
    for row in AccountTerminal.objects.select_for_update().filter(account=account):
        if encryption.key_id_of(bytes(row.keys_sealed)) != encryption.current_key_id():
            row.keys_sealed = sealed_keys(keys_of(row), row.merchant_id)
            row.save(update_fields=["keys_sealed"])
            changed = True
    return changed


def called_by(
    credentials: Credentials,
    row: AccountTerminal,
    *,
    terminal_key: str = "",
    all_sns: Collection[str] = (),
) -> Credentials:
    """The account's credentials with the terminal that calls; ``all_sns`` are the numbers of all its terminals."""
    terminal = {
        "terminal_sn": row.terminal_sn,
        "terminal_key": terminal_key,
        "device_id": row.device_id,
        "terminal_sns": " ".join(all_sns),
    }
    return replace(credentials, keys={**credentials.keys, **terminal})
