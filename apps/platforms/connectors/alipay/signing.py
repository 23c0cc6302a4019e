"""Alipay OpenAPI with RSA2 in key mode: what is signed, and how the signed part of an answer is cut out.

Source: Alipay open platform documentation, "signature and verification"; the protocol's published samples are in the
tests.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import parse_qsl

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from apps.platforms import rsa

#: Character sets that notices come in. Without charset in our request's address Alipay takes GBK.
CHARSETS = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "gbk": "gb18030",
    "gb2312": "gb18030",
    "gb18030": "gb18030",
}
_MAX_FIELDS = 200


class SignatureRefused(Exception):
    """A message of the platform does not verify; the text says why."""


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


def cut_answer(body: bytes) -> tuple[dict[str, str], str]:
    """Split an answer's outer object into its members' exact texts, and give the ``sign`` (empty when absent).

    The signature covers the inner object as it stands on the wire, with its escapes, so it must never be written anew.
    Raises Unreadable.
    """
    try:
        text = body.decode()
        members: dict[str, str] = {}
        at = _expect(text, 0, "{")
        decoder = json.JSONDecoder()
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
    except (ValueError, RecursionError) as error:
        raise Unreadable("not JSON") from error
    if not isinstance(sign, str):
        raise Unreadable("sign is no text")
    return members, sign


def _space(text: str, at: int) -> int:
    while text[at : at + 1] in {" ", "\t", "\r", "\n"}:
        at += 1
    return at


def _expect(text: str, at: int, character: str) -> int:
    at = _space(text, at)
    if text[at : at + 1] != character:
        raise Unreadable(f"{character} expected")
    return at + 1


def verify_answer(key: RSAPublicKey, text: str, sign: str) -> None:
    """Check the exact text of an inner object. Raises SignatureRefused."""
    if not sign:
        raise SignatureRefused("missing")
    if not rsa.verifies(key, text.encode(), sign):
        raise SignatureRefused("wrong")


def read_form(body: bytes) -> tuple[dict[str, str], str]:
    """The fields of a notice, decoded once in the character set that it names, and that set (a Python codec).

    Raises Unreadable for anything that could be read in two ways: a field twice, a broken escape, an unknown set.
    """
    try:
        text = body.decode("ascii")
        plain = parse_qsl(
            text, keep_blank_values=True, encoding="latin-1", max_num_fields=_MAX_FIELDS
        )
    except ValueError as error:
        raise Unreadable("not a form") from error
    named = dict(plain).get("charset") or "gbk"
    charset = CHARSETS.get(named.strip().lower())
    if charset is None:
        raise Unreadable("an unknown character set")
    try:
        pairs = parse_qsl(
            text,
            keep_blank_values=True,
            encoding=charset,
            errors="strict",
            max_num_fields=_MAX_FIELDS,
        )
    except ValueError as error:
        raise Unreadable("not text in the character set that it names") from error
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise Unreadable("a field is twice there")
    return fields, charset


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
