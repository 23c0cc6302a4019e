"""UnionPay ACP 5.1.0 with signMethod 01: how messages are cut up, what is signed, whose certificate is believed.

Bytes, keys and certificates only. Sources: UnionPay's ACP SDK and its manual (5.1.0); what is signed is checked against a
published vector in the tests. Revocation is not looked up, as in the SDK.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import InvalidSignature as SignatureMismatch
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import pkcs12

from apps.platforms import fields as fields_of
from apps.platforms import rsa
from apps.platforms.fields import MAX_FIELDS
from apps.platforms.gateway import MalformedMessage

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.]{0,63}")
_BREAKS = re.compile(r"[&{}\[\]]")
_CLOSERS = {"{": "}", "[": "]"}
#: What a value must not hold: it could be read as the end of one field and the beginning of the next.
_NEXT_FIELD = re.compile(r"&[^&=]*=")
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
#: UnionPay's own certificates of the test environment are still signed with SHA-1.
_HASHES = (hashes.SHA1, hashes.SHA256, hashes.SHA384, hashes.SHA512)


class Unreadable(Exception):
    """An answer or notice is not in the form that the protocol prescribes."""


class SignatureRefused(Exception):
    """A message of the platform does not verify.

    ``reason``: ``"missing"`` (signature or certificate), ``"certificate"`` (cannot be read), ``"chain"`` (not issued under
    the certificates that the merchant holds), ``"expired"`` (one of the chain, as of now), ``"owner"`` (issued to somebody
    else), ``"wrong"`` (the signature itself).
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class UnusableCertificate(ValueError):
    """What was entered is no certificate of the wanted sort.

    ``reason``: ``"empty"``, ``"garbled"``, ``"password"`` (a .pfx that does not open with it), ``"no_key"`` (a .pfx without
    a private key), ``"private"`` (a key where a certificate belongs), ``"not_rsa"``, ``"weak"``.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"unusable certificate: {reason}")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Signer:
    """What a merchant signs with: the key, the certificate's decimal serial number, and how long it is valid."""

    key: RSAPrivateKey = field(repr=False)
    cert_id: str
    valid_from: datetime
    valid_until: datetime


# Opening a .pfx takes tens of milliseconds on purpose: keep what was opened.
@lru_cache(maxsize=256)
def load_signer(pfx: str, password: str) -> Signer:
    """Open a PKCS#12 file given as base64. Raises UnusableCertificate."""
    text = "".join(pfx.rpartition("base64,")[2].split())
    if not text:
        raise UnusableCertificate("empty")
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise UnusableCertificate("garbled") from error
    try:
        key, certificate, _others = pkcs12.load_key_and_certificates(raw, password.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        # The library tells a wrong password from a broken file by its words only.
        reason = "password" if "password" in str(error).lower() else "garbled"
        raise UnusableCertificate(reason) from error
    if key is None or certificate is None:
        raise UnusableCertificate("no_key")
    if not isinstance(key, RSAPrivateKey):
        raise UnusableCertificate("not_rsa")
    if key.key_size < 2048:
        raise UnusableCertificate("weak")
    return Signer(
        key=key,
        cert_id=str(certificate.serial_number),
        valid_from=certificate.not_valid_before_utc,
        valid_until=certificate.not_valid_after_utc,
    )


@lru_cache(maxsize=256)
def load_certificates(text: str) -> tuple[x509.Certificate, ...]:
    """Read certificates: PEM one after another, or one in bare base64. Raises UnusableCertificate."""
    text = text.strip().lstrip("\ufeff")
    if not text:
        raise UnusableCertificate("empty")
    if "PRIVATE KEY" in text:
        raise UnusableCertificate("private")
    blocks = [block.encode() for block in _PEM.findall(text)]
    try:
        if blocks:
            found = tuple(x509.load_pem_x509_certificate(block) for block in blocks)
        else:
            found = (x509.load_der_x509_certificate(base64.b64decode(text, validate=False)),)
        for certificate in found:
            if not isinstance(certificate.public_key(), RSAPublicKey):
                raise UnusableCertificate("not_rsa")
    except (ValueError, UnsupportedAlgorithm) as error:
        if isinstance(error, UnusableCertificate):
            raise
        raise UnusableCertificate("garbled") from error
    return found


def issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether ``issuer`` signed ``certificate``. Dates are not looked at."""
    key = issuer.public_key()
    algorithm = certificate.signature_hash_algorithm
    if certificate.issuer != issuer.subject or not isinstance(key, RSAPublicKey):
        return False
    if not isinstance(algorithm, _HASHES):
        return False
    try:
        # Certificate.verify_directly_issued_by refuses SHA-1, with which UnionPay's test certificates are signed.
        key.verify(
            certificate.signature,
            certificate.tbs_certificate_bytes,
            padding.PKCS1v15(),
            algorithm,
        )
    except SignatureMismatch:
        return False
    return True


def holds_root(text: str) -> bool:
    """Whether one of the certificates signed itself. Raises UnusableCertificate."""
    return any(issued(one, one) for one in load_certificates(text))


def chained(middle: str, root: str) -> bool:
    """Whether a middle certificate was issued by another one that signed itself. Raises UnusableCertificate."""
    roots = [one for one in load_certificates(root) if issued(one, one)]
    return any(
        issued(one, above) for one in load_certificates(middle) for above in roots if one != above
    )


def filled(fields: Mapping[str, str]) -> dict[str, str]:
    """The fields as sent: trimmed, blank ones left out."""
    trimmed = {name: value.strip() for name, value in fields.items()}
    return {name: value for name, value in trimmed.items() if value}


def signed_text(fields: Mapping[str, str]) -> str:
    """``k=v`` joined by ``&`` in the order of the names, unescaped, without ``signature``."""
    return "&".join(f"{name}={fields[name]}" for name in sorted(fields) if name != "signature")


def digest(text: str, charset: str = "utf-8") -> bytes:
    """What the signature covers: the SHA-256 of the text as 64 lower-case letters. It is hashed once more by signing."""
    return hashlib.sha256(text.encode(charset)).hexdigest().encode("ascii")


def sign(signer: Signer, fields: Mapping[str, str]) -> dict[str, str]:
    """The fields as sent, in UTF-8, with ``certId`` and ``signature``."""
    message = filled({**fields, "certId": signer.cert_id})
    return {**message, "signature": rsa.sign(signer.key, digest(signed_text(message)))}


def verify(
    fields: Mapping[str, str],
    *,
    root: str,
    middle: str,
    owners: Collection[str],
    now: datetime,
    charset: str = "utf-8",
) -> None:
    """Check a message with the certificate inside it: every field but ``signature``, whatever it is.

    ``root`` and ``middle`` are PEM, each may hold several certificates (while the platform changes them); ``owners`` is
    what the certificate's common name may say between its second and third ``@``. Raises SignatureRefused.
    """
    signature, pem = fields.get("signature", ""), fields.get("signPubKeyCert", "")
    if not signature or not pem:
        raise SignatureRefused("missing")
    leaf = _leaf(pem, middle, root)
    if not leaf.valid_from <= now <= leaf.valid_until:
        raise SignatureRefused("expired")
    if leaf.owner not in owners:
        raise SignatureRefused("owner")
    # Blank fields carry no meaning; whether a sender signs those that it sends is not said anywhere.
    everything = signed_text(fields)
    without_blanks = signed_text({name: value for name, value in fields.items() if value})
    for text in dict.fromkeys((everything, without_blanks)):
        if rsa.verifies(leaf.key, digest(text, charset), signature):
            return
    raise SignatureRefused("wrong")


@dataclass(frozen=True, slots=True)
class _Leaf:
    """A certificate with a good chain; it is valid as long as all of the chain are."""

    key: RSAPublicKey
    owner: str
    valid_from: datetime
    valid_until: datetime


@lru_cache(maxsize=64)
def _leaf(pem: str, middle: str, root: str) -> _Leaf:
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode("ascii"))
        key = certificate.public_key()
        names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SignatureRefused("certificate") from error
    if not isinstance(key, RSAPublicKey) or len(names) != 1:
        raise SignatureRefused("certificate")
    try:
        chains = _chains(certificate, load_certificates(middle), load_certificates(root))
    except UnusableCertificate as error:
        raise SignatureRefused("chain") from error
    if not chains:
        raise SignatureRefused("chain")
    # Of several chains, which only a change of certificates brings, the one that lasts longest.
    chain = max(chains, key=lambda one: min(each.not_valid_after_utc for each in one))
    parts = str(names[0].value).split("@")
    return _Leaf(
        key=key,
        owner=parts[2] if len(parts) > 2 else "",
        valid_from=max(one.not_valid_before_utc for one in chain),
        valid_until=min(one.not_valid_after_utc for one in chain),
    )


def _chains(
    leaf: x509.Certificate, middles: Iterable[x509.Certificate], roots: Iterable[x509.Certificate]
) -> list[tuple[x509.Certificate, ...]]:
    anchors = [root for root in roots if issued(root, root)]
    return [
        (leaf, middle, root)
        for middle in middles
        if issued(leaf, middle)
        for root in anchors
        if issued(middle, root)
    ]


def read_answer(body: bytes) -> dict[str, str]:
    """The fields of an answer: ``k=v`` joined by ``&``, nothing escaped; braces and brackets protect what they enclose.

    Values stay as they are, line ends of certificates included. Raises Unreadable for anything that could be read in
    two ways.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Unreadable("the answer is not text in UTF-8") from error
    fields: dict[str, str] = {}
    for piece in _pieces(text):
        name, equals, value = piece.partition("=")
        if not equals or not _NAME.fullmatch(name):
            raise Unreadable("the answer is not made of fields")
        if name in fields:
            raise Unreadable(f"the field {name} is twice there")
        if len(fields) >= MAX_FIELDS:
            raise Unreadable("the answer has too many fields")
        fields[name] = value
    return fields


def _pieces(text: str) -> Iterable[str]:
    """Split on ``&`` outside ``{…}`` and ``[…]``."""
    start = 0
    open_ends: list[str] = []
    for match in _BREAKS.finditer(text):
        mark = match.group()
        if mark in _CLOSERS:
            open_ends.append(_CLOSERS[mark])
            if len(open_ends) > MAX_FIELDS:
                raise Unreadable("the answer is nested too deeply")
        elif mark != "&":
            if open_ends and open_ends[-1] == mark:
                open_ends.pop()
        elif not open_ends:
            yield text[start : match.start()]
            start = match.end()
    if open_ends:
        raise Unreadable("a brace or bracket in the answer is never closed")
    yield text[start:]


def read_form(body: bytes) -> tuple[dict[str, str], str]:
    """The fields of a notice, an ordinary form, and its character set (a Python codec), as ``fields.read_form``.

    UnionPay signs for all merchants with one certificate, so another merchant may have had it sign any remark. Raises
    Unreadable.
    """
    try:
        return fields_of.read_form(
            body, charset_field="encoding", usual="utf-8", next_field=_NEXT_FIELD
        )
    except MalformedMessage as error:
        raise Unreadable(str(error)) from error
