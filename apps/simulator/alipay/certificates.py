"""Alipay's certificate mode: the platform's authority, the application's certificate, and serial numbers (dossier B3.5).

A serial number (SN) is the MD5 of the issuer, written CN, OU, O, C, with the decimal serial number behind it. The root
file holds two roots, as the real one does: only those signed with RSA count in its SN.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from apps.simulator import keys

#: What all merchants in certificate mode share: the platform they meet is one.
AUTHORITY: Final = (
    "alipay_root_certificate",
    "root_private_key",
    "middle_certificate",
    "middle_private_key",
    "alipay_certificate",
    "platform_private_key",
    "earlier_certificates",
)
_LIFE = timedelta(days=5 * 365)
_ROOT_LIFE = timedelta(days=20 * 365)

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """Who signs an answer: the serial number that it names ("" in key mode) and the private key (PEM)."""

    serial: str
    private_key: str


# --- making certificates --------------------------------------------------------------------------


def _name(unit: str, common: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "CN"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "SIMULATOR Ant Financial"),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def _certificate(
    *,
    subject: x509.Name,
    public_key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey,
    issuer: x509.Name,
    signed_by: PrivateKey,
    begins_at: datetime,
    life: timedelta,
    is_authority: bool,
) -> str:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(secrets.randbits(127) | (1 << 126))
        .not_valid_before(begins_at)
        .not_valid_after(begins_at + life)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .sign(signed_by, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
        .decode("ascii")
    )


def _rsa(pem: str) -> rsa.RSAPrivateKey:
    key = serialization.load_pem_private_key(pem.encode("ascii"), password=None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError("not an RSA key")
    return key


def _root(unit: str, key: PrivateKey, *, now: datetime) -> str:
    name = _name(unit, f"SIMULATOR {unit} Root R1")
    return _certificate(
        subject=name,
        public_key=key.public_key(),
        issuer=name,
        signed_by=key,
        begins_at=now - timedelta(days=1),
        life=_ROOT_LIFE,
        is_authority=True,
    )


def new_authority(*, now: datetime) -> dict[str, Any]:
    """The ``config`` of a platform of its own: roots, the authority below, and the platform's certificate."""
    root_key, middle_key = keys.new_private_key(), keys.new_private_key()
    root = _root("Certification Authority", _rsa(root_key), now=now)
    other_root = _root("Elliptic Authority", ec.generate_private_key(ec.SECP256R1()), now=now)
    middle = _certificate(
        subject=_name("Certification Authority", "SIMULATOR Class 2 R1"),
        public_key=_rsa(middle_key).public_key(),
        issuer=x509.load_pem_x509_certificate(root.encode()).subject,
        signed_by=_rsa(root_key),
        begins_at=now - timedelta(days=1),
        life=_ROOT_LIFE,
        is_authority=True,
    )
    authority: dict[str, Any] = {
        # The root that does not count stands first: a reader must choose, not take what comes. A blank line stands
        # between two certificates, as in the real file: clients split it there.
        "alipay_root_certificate": f"{other_root}\n{root}",
        "root_private_key": root_key,
        "middle_certificate": middle,
        "middle_private_key": middle_key,
        "earlier_certificates": [],
    }
    return {**authority, **_platform_certificate(authority, begins_at=now - timedelta(days=1))}


def _platform_certificate(authority: dict[str, Any], *, begins_at: datetime) -> dict[str, str]:
    private_key = keys.new_private_key()
    leaf = _issued(authority, "Alipay", _rsa(private_key).public_key(), begins_at=begins_at)
    return {
        # As the console hands it out: the certificate and the one above it.
        "alipay_certificate": leaf + authority["middle_certificate"],
        "platform_private_key": private_key,
    }


def _issued(
    authority: dict[str, Any], common: str, key: rsa.RSAPublicKey, *, begins_at: datetime
) -> str:
    middle = x509.load_pem_x509_certificate(authority["middle_certificate"].encode())
    return _certificate(
        subject=_name("SIMULATOR", common),
        public_key=key,
        issuer=middle.subject,
        signed_by=_rsa(authority["middle_private_key"]),
        begins_at=begins_at,
        life=_LIFE,
        is_authority=False,
    )


def app_certificate(authority: dict[str, Any], *, app_key: str, app_id: str, now: datetime) -> str:
    """The certificate (PEM) of an application's key."""
    key = _rsa(app_key).public_key()
    return _issued(authority, app_id, key, begins_at=now - timedelta(days=1))


def renewed(config: dict[str, Any], *, now: datetime) -> dict[str, Any]:
    """The config with a new platform certificate in use; the one so far can still be downloaded."""
    earlier = [*config.get("earlier_certificates", []), config["alipay_certificate"]]
    fresh = _platform_certificate(config, begins_at=now - timedelta(days=1))
    return {**config, **fresh, "earlier_certificates": earlier}


# --- serial numbers -------------------------------------------------------------------------------

_SHORT: Final = {
    NameOID.COMMON_NAME: "CN",
    NameOID.ORGANIZATIONAL_UNIT_NAME: "OU",
    NameOID.ORGANIZATION_NAME: "O",
    NameOID.COUNTRY_NAME: "C",
}


@lru_cache(maxsize=256)
def serial_of(pem: str) -> str:
    """The SN of the first certificate in a file."""
    return _serial(x509.load_pem_x509_certificates(pem.encode("ascii"))[0])


@lru_cache(maxsize=64)
def root_serial_of(pem: str) -> str:
    """The SN of a root file: of the certificates that are signed with RSA, joined with ``_``."""
    return "_".join(
        _serial(one)
        for one in x509.load_pem_x509_certificates(pem.encode("ascii"))
        if one.signature_algorithm_oid.dotted_string.startswith("1.2.840.113549.1.1")
    )


def _serial(certificate: x509.Certificate) -> str:
    issuer = ",".join(
        f"{_SHORT[attribute.oid]}={attribute.value!s}"
        for attribute in reversed(list(certificate.issuer))
    )
    text = f"{issuer}{certificate.serial_number}"
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


# --- who signs ------------------------------------------------------------------------------------


def in_use(config: dict[str, Any]) -> bool:
    """Whether a merchant is in certificate mode."""
    return "alipay_certificate" in config


def signer_of(config: dict[str, Any]) -> Signer:
    """The platform itself."""
    serial = serial_of(config["alipay_certificate"]) if in_use(config) else ""
    return Signer(serial=serial, private_key=config["platform_private_key"])


@lru_cache(maxsize=1)
def _stranger() -> dict[str, Any]:
    """Another authority with the same names, which nobody trusts."""
    return new_authority(now=datetime.fromisoformat("2026-01-01T00:00:00+00:00"))


def foreign_signer() -> Signer:
    """A forger with certificates of its own making (fault foreign_certificate)."""
    return signer_of(_stranger())


@lru_cache(maxsize=4)
def _expired(middle_certificate: str, middle_private_key: str) -> dict[str, str]:
    authority = {"middle_certificate": middle_certificate, "middle_private_key": middle_private_key}
    begun = datetime.fromisoformat("2015-01-01T00:00:00+00:00")
    return _platform_certificate(authority, begins_at=begun)


def expired_signer(config: dict[str, Any]) -> Signer:
    """The platform with a certificate that has ended (fault expired_certificate)."""
    return signer_of(_expired(config["middle_certificate"], config["middle_private_key"]))


def by_serial(config: dict[str, Any], serial: str) -> str:
    """The certificate file of an SN, of those that this platform (or, forged, another) has signed with; "" for none."""
    if not in_use(config):
        return ""
    known = [config["alipay_certificate"], *config.get("earlier_certificates", [])]
    known.append(_stranger()["alipay_certificate"])
    known.append(
        _expired(config["middle_certificate"], config["middle_private_key"])["alipay_certificate"]
    )
    return next((pem for pem in known if serial_of(pem) == serial), "")
