"""X.509 certificates as people paste and platforms send them: reading, serial numbers, dates, chains. Free of Django."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding

from apps.platforms.rsa import UnusableKey

_BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
#: Longer chains do not occur.
_LONGEST_CHAIN = 5


@lru_cache(maxsize=256)
def load_all(text: str) -> tuple[x509.Certificate, ...]:
    """Every certificate in a text of PEM blocks, in order. Raises UnusableKey.

    Blocks that cannot be read are passed over as long as one can: bundles hold certificates for algorithms that few
    libraries know.
    """
    blocks = _BLOCK.findall(text)
    if not blocks:
        raise UnusableKey(_what_else(text))
    found = []
    for block in blocks:
        try:
            found.append(x509.load_pem_x509_certificate(block.encode("ascii")))
        except ValueError:
            continue
    if not found:
        raise UnusableKey("garbled")
    return tuple(found)


def _what_else(text: str) -> str:
    """Why a text holds no certificate, in the words of ``UnusableKey``."""
    if not text.strip():
        return "empty"
    if "PRIVATE KEY-----" in text:
        return "private"
    if "PUBLIC KEY-----" in text:
        return "public"
    return "garbled"


def load_der(text: str) -> x509.Certificate | None:
    """A certificate in base64 without PEM's lines; None for anything else."""
    try:
        return x509.load_der_x509_certificate(
            base64.b64decode("".join(text.split()), validate=True)
        )
    except (ValueError, binascii.Error):
        return None


def rsa_key(certificate: x509.Certificate) -> RSAPublicKey:
    """The certificate's public key. Raises UnusableKey for one that is not RSA."""
    try:
        key = certificate.public_key()
    except ValueError as error:
        raise UnusableKey("not_rsa") from error
    if not isinstance(key, RSAPublicKey):
        raise UnusableKey("not_rsa")
    return key


def serial_of(certificate: x509.Certificate) -> str:
    """The serial number in upper-case hex, 40 digits, as WeChat Pay writes it."""
    return f"{certificate.serial_number:040X}"


def pem_of(found: Iterable[x509.Certificate]) -> str:
    """The certificates as one text of PEM blocks."""
    return "".join(one.public_bytes(Encoding.PEM).decode("ascii") for one in found)


def is_valid(certificate: x509.Certificate, *, at: datetime) -> bool:
    """Whether the certificate's own dates hold ``at`` (aware)."""
    return certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc


def is_chained(
    leaf: x509.Certificate,
    *,
    between: Sequence[x509.Certificate],
    roots: Sequence[x509.Certificate],
    at: datetime,
) -> bool:
    """Whether ``leaf`` leads, by signatures and through certificates of authorities valid ``at``, to one of ``roots``.

    ``between`` came along with the leaf and proves nothing by itself.
    """
    current = leaf
    for _ in range(_LONGEST_CHAIN):
        if not is_valid(current, at=at):
            return False
        if any(_issued(current, root, at) for root in roots):
            return True
        issuer = next(
            (one for one in between if one != current and _issued(current, one, at)), None
        )
        if issuer is None or not may_issue(issuer):
            return False
        current = issuer
    return False


def _issued(certificate: x509.Certificate, issuer: x509.Certificate, at: datetime) -> bool:
    if certificate.issuer != issuer.subject or not is_valid(issuer, at=at):
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def may_issue(certificate: x509.Certificate) -> bool:
    """Whether the certificate calls itself an authority's."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except (x509.ExtensionNotFound, ValueError):
        return False
    return found.value.ca
