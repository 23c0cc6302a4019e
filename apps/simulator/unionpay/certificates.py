"""The authority behind UnionPay's messages: a root, a middle, and the leaf whose key signs (dossier 1.4, 6).

Merchants get their own certificate from the same middle, as a password-protected .pfx. All in PEM.
"""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

from apps.simulator import clock, keys

ROOT_NAME: Final = "SIMULATOR CFCA CS CA"
MIDDLE_NAME: Final = "SIMULATOR CFCA OCA1"
#: The third part of the leaf's common name is the owner that clients must pin.
PLATFORM_NAME: Final = "041@8310000000000001@中国银联股份有限公司@00000001"
STRANGER_NAME: Final = "041@8310000000000002@模拟器路人有限公司@00000001"
#: What ``new_authority`` makes; the same in the ``config`` of all merchants.
AUTHORITY: Final = (
    "root_certificate",
    "middle_certificate",
    "middle_private_key",
    "platform_certificate",
    "platform_private_key",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """A key and the certificate (PEM) that a message carries with its signature."""

    private_key: str
    certificate: str

    @property
    def field(self) -> str:
        """``signPubKeyCert``: the PEM with CR LF, as UnionPay writes it, and no line end after it."""
        return "\r\n".join(self.certificate.strip().splitlines())


def new_authority(*, now: datetime) -> dict[str, str]:
    """A fresh authority: root, middle and the platform's leaf, each with its private key."""
    root_key, middle_key, leaf_key = (keys.new_private_key() for _ in range(3))
    root = _certificate(root_key, ROOT_NAME, root_key, ROOT_NAME, now)
    middle = _certificate(middle_key, MIDDLE_NAME, root_key, ROOT_NAME, now)
    leaf = _certificate(leaf_key, PLATFORM_NAME, middle_key, MIDDLE_NAME, now, ca=False)
    return {
        "root_certificate": _pem(root),
        "middle_certificate": _pem(middle),
        "middle_private_key": middle_key,
        "platform_certificate": _pem(leaf),
        "platform_private_key": leaf_key,
    }


def new_merchant_certificate(
    *, authority: dict[str, Any], merchant_no: str, now: datetime
) -> dict[str, str]:
    """A merchant's own: ``certificate`` (base64 of the .pfx), its password, ``cert_id`` and the public certificate."""
    private_key = keys.new_private_key()
    certificate = _certificate(
        private_key,
        f"041@{merchant_no}@SIMULATOR@00000001",
        authority["middle_private_key"],
        MIDDLE_NAME,
        now,
        ca=False,
    )
    password = f"{secrets.randbelow(1_000_000):06d}"
    pfx = pkcs12.serialize_key_and_certificates(
        merchant_no.encode(),
        _loaded(private_key),
        certificate,
        [x509.load_pem_x509_certificate(authority["middle_certificate"].encode())],
        serialization.BestAvailableEncryption(password.encode()),
    )
    return {
        "certificate": base64.b64encode(pfx).decode("ascii"),
        "certificate_password": password,
        "cert_id": str(certificate.serial_number),
        "merchant_certificate": _pem(certificate),
        "merchant_public_key": keys.public_pem(private_key),
    }


def signer_of(config: dict[str, Any]) -> Signer:
    """The platform's own signer."""
    return Signer(
        private_key=config["platform_private_key"], certificate=config["platform_certificate"]
    )


def wrong_key(config: dict[str, Any]) -> Signer:
    """The platform's certificate with another's signature: any verification must fail."""
    return Signer(private_key=keys.stranger_key(), certificate=config["platform_certificate"])


@lru_cache(maxsize=1)
def self_made() -> Signer:
    """A forger's: the platform's name, the authority's as issuer, and neither had a hand in it.

    Only the signature on the certificate gives it away.
    """
    private_key = keys.stranger_key()
    certificate = _certificate(
        private_key, PLATFORM_NAME, private_key, MIDDLE_NAME, clock.real_now(), ca=False
    )
    return Signer(private_key=private_key, certificate=_pem(certificate))


def other_owner(config: dict[str, Any]) -> Signer:
    """Somebody else's certificate from the same authority, as any merchant has one. Only the name gives it away."""
    return _issued(config["middle_private_key"], STRANGER_NAME, expired=False)


def expired(config: dict[str, Any]) -> Signer:
    """The platform's name and authority, but its certificate ended a month ago."""
    return _issued(config["middle_private_key"], PLATFORM_NAME, expired=True)


@lru_cache(maxsize=8)
def _issued(middle_key: str, name: str, *, expired: bool) -> Signer:
    now = clock.real_now() - timedelta(days=5 * 365 + 30 if expired else 0)
    private_key = keys.stranger_key()
    certificate = _certificate(private_key, name, middle_key, MIDDLE_NAME, now, ca=False)
    return Signer(private_key=private_key, certificate=_pem(certificate))


def sealed_for(certificate_pem: str, text: str) -> str:
    """A card number as queries give it: base64 of RSA PKCS#1 v1.5 to the merchant's certificate."""
    public = x509.load_pem_x509_certificate(certificate_pem.encode()).public_key()
    if not isinstance(public, rsa.RSAPublicKey):
        raise TypeError("not an RSA certificate")
    return base64.b64encode(public.encrypt(text.encode(), padding.PKCS1v15())).decode("ascii")


def _certificate(
    private_key: str,
    name: str,
    issuer_key: str,
    issuer: str,
    now: datetime,
    *,
    ca: bool = True,
) -> x509.Certificate:
    # Clients compare with true time, whatever the simulated clock says.
    begin = min(now, clock.real_now()) - timedelta(days=1)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(issuer))
        .public_key(_loaded(private_key).public_key())
        # Five bytes, like the authority that UnionPay uses: 10 to 12 decimal digits.
        .serial_number(secrets.randbits(38) | (1 << 38))
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=365 * (20 if ca else 5)))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .sign(_loaded(issuer_key), hashes.SHA256())
    )


def _name(common: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "CN"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "SIMULATOR"),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def _loaded(private_pem: str) -> rsa.RSAPrivateKey:
    key = serialization.load_pem_private_key(private_pem.encode("ascii"), password=None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise TypeError("not an RSA key")
    return key


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")
