"""How long the certificates of an account are good, by their own dates; no call is made."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import pkcs12

from apps.operations.doctor.findings import Check, Finding, broken, fine, warning
from apps.platforms import certificates
from apps.platforms.gateway import Credentials
from apps.platforms.rsa import UnusableKey

#: How long before its end a certificate is spoken of: a new one takes days to be issued.
NOTICE: Final = timedelta(days=30)
#: Entries that are certificates in PEM or bare base64, of all platforms; and the one in a .pfx with its password.
_PLAIN: Final = (
    "root_certificate",
    "middle_certificate",
    "app_certificate",
    "alipay_certificate",
    "alipay_root_certificate",
    "platform_certificates",
)
_PFX: Final = "certificate"
_PASSWORD: Final = "certificate_password"  # noqa: S105  # the name of an entry


@dataclass(frozen=True, slots=True)
class Paper:
    """How long what is stored under one entry is good."""

    field: str
    valid_from: datetime
    valid_until: datetime


def papers_of(credentials: Credentials) -> list[Paper]:
    """The certificates among an account's entries. What cannot be read is passed over: the live check speaks of it."""
    keys = credentials.keys
    found = []
    for name in _PLAIN:
        # Who has WeChat Pay's public key needs no platform certificate any more.
        if name == "platform_certificates" and keys.get("public_key", "").strip():
            continue
        held = _longest(name, _plain(keys.get(name, "")))
        if held is not None:
            found.append(held)
    own = _longest(_PFX, _of_pfx(keys))
    return found if own is None else [own, *found]


def _longest(field: str, held: Iterable[x509.Certificate]) -> Paper | None:
    """Of several under one entry the one that lasts longest: there are two while the platform changes them.

    Where authorities' certificates stand beside others, these others are meant.
    """
    every = list(held)
    leaves = [one for one in every if not certificates.may_issue(one)] or every
    if not leaves:
        return None
    last = max(leaves, key=lambda one: one.not_valid_after_utc)
    return Paper(field, last.not_valid_before_utc, last.not_valid_after_utc)


def _plain(text: str) -> tuple[x509.Certificate, ...]:
    if not text.strip():
        return ()
    try:
        return certificates.load_all(text)
    except UnusableKey:
        bare = certificates.load_der(text)
        return () if bare is None else (bare,)


def _of_pfx(keys: Mapping[str, str]) -> tuple[x509.Certificate, ...]:
    text = "".join(keys.get(_PFX, "").rpartition("base64,")[2].split())
    try:
        raw = base64.b64decode(text, validate=True)
        _key, held, _others = pkcs12.load_key_and_certificates(
            raw, keys.get(_PASSWORD, "").encode()
        )
    except (binascii.Error, ValueError, UnsupportedAlgorithm):
        return ()
    return () if held is None else (held,)


def certificate_findings(
    credentials: Credentials, *, platform: str, now: datetime
) -> list[Finding]:
    """What the dates mean: one finding for each certificate that needs something, or that all are good."""
    papers = papers_of(credentials)
    if not papers:
        return [fine(Check.CERTIFICATES, "certificates_none")]
    found = [finding for paper in papers if (finding := _judged(paper, platform, now)) is not None]
    if found:
        return found
    first = min(papers, key=lambda paper: paper.valid_until)
    return [
        fine(
            Check.CERTIFICATES,
            platform=platform,
            field=first.field,
            until=first.valid_until.isoformat(),
        )
    ]


def _judged(paper: Paper, platform: str, now: datetime) -> Finding | None:
    facts = {"platform": platform, "field": paper.field, "until": paper.valid_until.isoformat()}
    if paper.valid_until < now:
        return broken(Check.CERTIFICATES, "certificate_expired", **facts)
    if paper.valid_from > now:
        return broken(
            Check.CERTIFICATES,
            "certificate_not_yet",
            **{**facts, "until": paper.valid_from.isoformat()},
        )
    if paper.valid_until < now + NOTICE:
        days = (paper.valid_until - now).days
        return warning(Check.CERTIFICATES, "certificate_expires", days=days, **facts)
    return None
