"""Reading the fields of a platform's message; what every connector's ``wire`` does alike. Free of Django."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

from apps.platforms.gateway import MalformedMessage

#: Character sets that a platform may name, and the Python codec that reads them: GB18030 holds all of GBK.
CHARSETS: Final[Mapping[str, str]] = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "gbk": "gb18030",
    "gb2312": "gb18030",
    "gb18030": "gb18030",
}
#: The most fields of one message; the platforms' own have some forty.
MAX_FIELDS: Final = 200


def text(message: Mapping[str, Any], name: str) -> str:
    """A text field that must be there. Raises MalformedMessage."""
    value = message.get(name)
    if not isinstance(value, str) or not value:
        raise MalformedMessage(f"{name} is missing")
    return value


def optional(message: Mapping[str, Any], name: str) -> str:
    """A text field, or empty."""
    value = message.get(name)
    return value if isinstance(value, str) else ""


def load_object(content: bytes | str) -> dict[str, Any]:
    """Read a JSON object that can be read in one way only: no name twice, at any depth. Raises MalformedMessage."""
    try:
        message = json.loads(content, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise MalformedMessage("not JSON") from error
    if not isinstance(message, dict):
        raise MalformedMessage("not a JSON object")
    return message


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise MalformedMessage("a name is twice there")
    return found


def read_form(
    body: bytes, *, charset_field: str, usual: str, next_field: re.Pattern[str]
) -> tuple[dict[str, str], str]:
    """The fields of a form, decoded once in the character set that it names itself, and that set (a Python codec).

    Raises MalformedMessage for anything that could be read in two ways: a field twice, a broken escape, an unknown set, a
    value in which ``next_field`` is found. Where fields are signed as one text, what is signed does not tell where one
    ends: a text that somebody had signed, such as a remark, must not be cut up anew into a number and an amount.
    """
    try:
        text = body.decode("ascii")
        plain = parse_qsl(
            text, keep_blank_values=True, encoding="latin-1", max_num_fields=MAX_FIELDS
        )
    except ValueError as error:
        raise MalformedMessage("not a form") from error
    named = dict(plain).get(charset_field) or usual
    charset = CHARSETS.get(named.strip().lower())
    if charset is None:
        raise MalformedMessage("an unknown character set")
    try:
        pairs = parse_qsl(
            text,
            keep_blank_values=True,
            encoding=charset,
            errors="strict",
            max_num_fields=MAX_FIELDS,
        )
    except ValueError as error:
        raise MalformedMessage("not text in the character set that it names") from error
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise MalformedMessage("a field is twice there")
    if any(next_field.search(value) for value in fields.values()):
        raise MalformedMessage("a value that could be read as further fields")
    return fields, charset
