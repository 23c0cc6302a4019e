"""Opening a merchant's scope from a public token."""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from apps.core import sql
from apps.core.models import Door, door_hash

#: Letters and digits that print and read without mistakes: no 0/O, 1/l/I.
ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

_BY_TOKEN = sql.Loading(Door, "SELECT {columns} FROM core_door WHERE kind = %s AND token_hash = %s")


class DoorNotFound(Exception):
    """No door of that kind has this token."""


def new_token(length: int = 12) -> str:
    """A random token; 12 characters carry about 70 bits."""
    # One draw of the operating system for all characters: each text is as likely as any other.
    number = secrets.randbelow(len(ALPHABET) ** length)
    characters: list[str] = []
    for _place in range(length):
        number, one = divmod(number, len(ALPHABET))
        characters.append(ALPHABET[one])
    return "".join(characters)


def make_door(*, kind: str, token: str, merchant_id: int, subject_id: int) -> Door:
    """Let ``token`` open ``merchant_id``'s scope for ``subject_id``."""
    return Door.objects.create(
        kind=kind, token_hash=door_hash(token), merchant_id=merchant_id, subject_id=subject_id
    )


def make_doors(*, kind: str, merchant_id: int, tokens: Mapping[int, str]) -> None:
    """As ``make_door``, of many subjects: the token of each by its id."""
    sql.insert_many(
        Door,
        [
            {
                "kind": kind,
                "token_hash": door_hash(token),
                "merchant_id": merchant_id,
                "subject_id": subject,
            }
            for subject, token in tokens.items()
        ],
    )


def find_door(*, kind: str, token: str) -> Door:
    """The door that ``token`` opens. Raises DoorNotFound."""
    door = _BY_TOKEN.first([kind, door_hash(token)])
    if door is None:
        raise DoorNotFound(kind)
    return door
