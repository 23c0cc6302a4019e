"""Alipay OpenAPI with RSA2: what is signed, how the signed part of an answer is cut out, how certificates are named.

Source: Alipay open platform documentation, "signature and verification" and "public key certificates"; the protocol's
published samples are in the tests.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from apps.platforms import fields as fields_of
from apps.platforms import rsa
from apps.platforms.fields import CHARSETS
from apps.platforms.gateway import MalformedMessage

#: What a value must not hold: it could be read as the end of one field and the beginning of another. Alipay's own names are
#: of such letters; what is escaped once more, as ``passback_params`` must be, is not concerned.
_NEXT_FIELD = re.compile(r"&[A-Za-z_][A-Za-z0-9_.]*=")

#: Object identifiers of signatures by RSA begin so.
_RSA = "1.2.840.113549.1.1"


class SignatureRefused(Exception):
    """A message of the platform does not verify; the text says why.

    ``"missing"``, ``"sign_type"``, ``"serial"`` (no certificate of that number), ``"expired"`` (a certificate past its
    time), ``"wrong"``.
    """


class Unreadable(Exception):
    """An answer or notice is not in the form that the protocol prescribes."""


def signed_text(parameters: Mapping[str, str], *, without: frozenset[str]) -> str:
    """``k=v`` joined by ``&`` in the order of the names, unescaped, leaving out ``without``."""
    return "&".join(
        f"{name}={parameters[name]}" for name in sorted(parameters) if name not in without
    )


def request_text(parameters: Mapping[str, str]) -> str:
    """The text signed for a request: all but ``sign`` and what is empty; ``sign_type`` is included."""
    filled = {name: value for name, value in parameters.items() if value}
    return signed_text(filled, without=frozenset({"sign"}))


def sign_request(key: RSAPrivateKey, parameters: Mapping[str, str]) -> str:
    """The ``sign`` of a request in UTF-8."""
    return rsa.sign(key, request_text(parameters).encode())


def certificate_sn(certificate: x509.Certificate) -> str:
    """What Alipay calls a certificate's SN: a hash of its issuer, as ``CN=…,OU=…,O=…,C=…``, and its decimal serial number."""
    named = f"{certificate.issuer.rfc4514_string()}{certificate.serial_number}"
    return hashlib.md5(named.encode(), usedforsecurity=False).hexdigest()


def root_sn(roots: Iterable[x509.Certificate]) -> str:
    """The SN of the root bundle: of those signed by RSA, joined; the bundle holds others as well."""
    return "_".join(
        certificate_sn(one)
        for one in roots
        if one.signature_algorithm_oid.dotted_string.startswith(_RSA)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CutAnswer:
    """An answer's members as they stand on the wire, but for ``sign`` and ``alipay_cert_sn``, which are read.

    ``charset`` is the Python codec by which the bytes were read and are written again for the signature's sake.
    """

    members: Mapping[str, str] = field(repr=False)
    sign: str
    certificate_sn: str
    charset: str


def cut_answer(body: bytes, *, content_type: str = "") -> CutAnswer:
    """Split an answer's outer object into its members' exact texts.

    The signature covers the inner object as it stands on the wire, with its escapes, so it must never be written anew.
    Raises Unreadable.
    """
    text, charset = _decoded(body, content_type)
    members: dict[str, str] = {}
    decoder = json.JSONDecoder()
    try:
        at = _expect(text, 0, "{")
        while True:
            name, at = decoder.raw_decode(text, _space(text, at))
            start = _space(text, _expect(text, at, ":"))
            _, at = decoder.raw_decode(text, start)
            if not isinstance(name, str) or name in members:
                raise Unreadable("a member's name is twice there")
            members[name] = text[start:at]
            at = _space(text, at)
            if text[at : at + 1] == "}":
                break
            at = _expect(text, at, ",")
        if text[at + 1 :].strip():
            raise Unreadable("text after the answer")
        sign = json.loads(members.pop("sign", '""'))
        certificate = json.loads(members.pop("alipay_cert_sn", '""'))
    except (ValueError, RecursionError) as error:
        raise Unreadable("not JSON") from error
    if not isinstance(sign, str) or not isinstance(certificate, str):
        raise Unreadable("sign or alipay_cert_sn is no text")
    return CutAnswer(members=members, sign=sign, certificate_sn=certificate, charset=charset)


def _decoded(body: bytes, content_type: str) -> tuple[str, str]:
    """An answer's text and its character set: the one that it names, else UTF-8, which we ask for, else GBK.

    In GBK a character's second byte may look like a quote's escape, so nothing can be cut before it is decoded.
    """
    _, _, named = content_type.lower().partition("charset=")
    told = CHARSETS.get(named.partition(";")[0].strip(' "'))
    for charset in dict.fromkeys([told or "utf-8", "utf-8", "gb18030"]):
        try:
            text = body.decode(charset)
        except UnicodeDecodeError:
            continue
        return text, charset
    raise Unreadable("not text")


def _space(text: str, at: int) -> int:
    while text[at : at + 1] in {" ", "\t", "\r", "\n"}:
        at += 1
    return at


def _expect(text: str, at: int, character: str) -> int:
    at = _space(text, at)
    if text[at : at + 1] != character:
        raise Unreadable(f"{character} expected")
    return at + 1


def verify_answer(key: RSAPublicKey, text: str, sign: str, *, charset: str = "utf-8") -> None:
    """Check the exact text of an inner object. Raises SignatureRefused."""
    if not sign:
        raise SignatureRefused("missing")
    try:
        signed = text.encode(charset)
    except UnicodeEncodeError as error:
        raise SignatureRefused("wrong") from error
    if not rsa.verifies(key, signed, sign):
        raise SignatureRefused("wrong")


def read_form(body: bytes) -> tuple[dict[str, str], str]:
    """The fields of a notice and its character set (a Python codec), as ``fields.read_form``. Raises Unreadable.

    GBK is what Alipay sends where a notice names none.
    """
    try:
        return fields_of.read_form(
            body, charset_field="charset", usual="gbk", next_field=_NEXT_FIELD
        )
    except MalformedMessage as error:
        raise Unreadable(str(error)) from error


def verify_form(key: RSAPublicKey, fields: Mapping[str, str], charset: str) -> None:
    """Check a notice: every field but ``sign`` and ``sign_type``, whatever it is. Raises SignatureRefused."""
    sign = fields.get("sign", "")
    if not sign:
        raise SignatureRefused("missing")
    if fields.get("sign_type", "RSA2") != "RSA2":
        raise SignatureRefused("sign_type")
    without = frozenset({"sign", "sign_type"})
    filled = {name: value for name, value in fields.items() if value}
    # The platform's own libraries differ about empty fields, which carry no meaning: both readings are accepted.
    for candidate in (fields, filled):
        if rsa.verifies(key, signed_text(candidate, without=without).encode(charset), sign):
            return
    raise SignatureRefused("wrong")
