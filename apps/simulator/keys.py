"""Keys and signatures of the simulated platforms, written on ``cryptography`` alone.

The product has its own code for all of this; a mistake in one cannot cancel itself out in the other.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from datetime import datetime, timedelta
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.x509.oid import NameOID


def new_private_key() -> str:
    """A fresh 2048-bit RSA key as unencrypted PKCS#8 PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode("ascii")


@lru_cache(maxsize=256)
def _private_key(pem: str) -> rsa.RSAPrivateKey:
    key = serialization.load_pem_private_key(pem.encode("ascii"), password=None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError("not an RSA key")
    return key


@lru_cache(maxsize=256)
def _public_key(pem: str) -> rsa.RSAPublicKey:
    key = serialization.load_pem_public_key(pem.encode("ascii"))
    if not isinstance(key, rsa.RSAPublicKey):
        raise ValueError("not an RSA key")
    return key


def public_pem(private_pem: str) -> str:
    """The public half (SubjectPublicKeyInfo PEM) of a private key."""
    return (
        _private_key(private_pem)
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode("ascii")
    )


def rsa_sign(private_pem: str, message: bytes) -> str:
    """SHA256withRSA (PKCS#1 v1.5) over the bytes, in base64."""
    signature = _private_key(private_pem).sign(message, padding.PKCS1v15(), hashes.SHA256())
    return base64.b64encode(signature).decode("ascii")


def rsa_verify(public_key_pem: str, message: bytes, signature: str) -> bool:
    """Whether the base64 signature is that key's over those bytes; malformed base64 is just False."""
    try:
        raw = base64.b64decode(signature, validate=True)
        _public_key(public_key_pem).verify(raw, message, padding.PKCS1v15(), hashes.SHA256())
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


def rsa_oaep_decrypt(private_pem: str, ciphertext: str) -> str:
    """Open a sensitive WeChat Pay field: base64 of RSA-OAEP with SHA-1. Raises ValueError."""
    oaep = padding.OAEP(
        mgf=padding.MGF1(hashes.SHA1()),  # noqa: S303 - the platform's algorithm
        algorithm=hashes.SHA1(),  # noqa: S303
        label=None,
    )
    return _private_key(private_pem).decrypt(base64.b64decode(ciphertext), oaep).decode("utf-8")


@lru_cache(maxsize=1)
def stranger_key() -> str:
    """A private key that belongs to nobody: for forged notices and wrong signatures."""
    return new_private_key()


def aes_gcm_encrypt(key: str, *, nonce: str, associated_data: str, plaintext: bytes) -> str:
    """AES-256-GCM as WeChat Pay uses it: text key, nonce and associated data; base64 with the tag at the end."""
    sealed = AESGCM(key.encode("ascii")).encrypt(
        nonce.encode("utf-8"), plaintext, associated_data.encode("utf-8")
    )
    return base64.b64encode(sealed).decode("ascii")


def aes_gcm_decrypt(key: str, *, nonce: str, associated_data: str, ciphertext: str) -> bytes:
    """The reverse of ``aes_gcm_encrypt``. Raises cryptography's InvalidTag."""
    return AESGCM(key.encode("ascii")).decrypt(
        nonce.encode("utf-8"), base64.b64decode(ciphertext), associated_data.encode("utf-8")
    )


def self_signed_certificate(private_pem: str, *, name: str, now: datetime) -> tuple[str, str]:
    """A five-year certificate (PEM) for a key, and its serial number as 40 upper-case hex digits."""
    key = _private_key(private_pem)
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "CN"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "SIMULATOR"),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )
    serial = secrets.randbits(159) | (1 << 158)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=5 * 365))
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")
    return pem, f"{serial:040X}"
