"""Questions by which the portal finds out whether a notification address leads to itself, and whether the simulator runs.

The first goes the way of a notification (a POST to the account's address) but carries a header instead of a body. What is
asked is signed, so that strangers cannot ask, and so is the answer, so that nobody else can give it. Nothing is stored.
"""

from __future__ import annotations

import secrets
from datetime import timedelta

from django.conf import settings
from django.core import signing

from apps.platforms import registry
from apps.platforms.gateway import PlatformUnavailable

#: The header of the question; a request that has it is never taken for a notification.
HEADER = "Portal-Probe"
_SALT = "apps.platforms.probes"
#: How long a question may be answered.
_LIFE = timedelta(minutes=2)


def question(ref: str) -> str:
    """The header's value for the address of the account with this public reference."""
    return signing.TimestampSigner(salt=f"{_SALT}.question").sign(f"{ref}.{secrets.token_hex(8)}")


def answer(ref: str, asked: str) -> str | None:
    """What to answer; None where the question is not ours, or too old, or was meant for another address."""
    try:
        plain = signing.TimestampSigner(salt=f"{_SALT}.question").unsign(asked, max_age=_LIFE)
    except signing.BadSignature:
        return None
    if plain.partition(".")[0] != ref:
        return None
    return _proof(asked)


def is_answer(asked: str, said: bytes) -> bool:
    """Whether these bytes answer the question, which only a portal with our secret can."""
    try:
        text = said[:300].decode("ascii").strip()
    except UnicodeDecodeError:
        return False
    return secrets.compare_digest(text, _proof(asked))


def simulator_missing() -> str:
    """The address of the simulator that a development machine uses and that does not run; "" where it runs or none is used."""
    address: str = settings.SIMULATOR_URL
    if not address or not settings.NOTIFY_ALLOW_HTTP:
        return ""
    try:
        answer = registry.shared_http().send("GET", f"{address}/control/api/health")
    except PlatformUnavailable:
        return address
    return "" if answer.status == 200 else address


def _proof(asked: str) -> str:
    return signing.Signer(salt=f"{_SALT}.answer").signature(asked)
