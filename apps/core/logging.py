"""Keeps secrets out of the logs, whoever writes them."""

from __future__ import annotations

import logging
import re

from typing_extensions import override

HIDDEN = "[hidden]"

#: Names whose values are never logged, as they appear in JSON, headers, query strings and Python reprs.
_NAMES = (
    r"(?:pass(?:word|wd|phrase)?|secret(?:[_-]?key)?|api[_-]?v3[_-]?key|(?:private|terminal|encryption)[_-]?keys?|"
    r"app[_-]?secret|access[_-]?token|refresh[_-]?token|authorization|cookie|set-cookie|csrf\w*token|"
    r"sign(?:ature)?|wechatpay-signature|auth_?code|session_?id|sessionid|openid|buyer_id|payer_ref)"
)
_PATTERNS = (
    # PEM blocks, whole.
    re.compile(
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL
    ),
    # Authorization: Bearer …, and WeChat Pay's own scheme, to the end of the line.
    re.compile(r"(?P<keep>(?i:authorization|cookie|set-cookie)['\"]?\s*[:=]\s*)[^\r\n]+"),
    re.compile(r"(?P<keep>WECHATPAY2-[A-Z0-9-]+\s+)[^\r\n]+"),
    # name=value, name: value, "name": "value"
    re.compile(
        rf"(?P<keep>(?<![A-Za-z0-9])(?i:{_NAMES})(?:\\?['\"])?\s*[:=]\s*)"
        r"(?:\\?\"(?:[^\"\\]|\\.)*\\?\"|'(?:[^'\\]|\\.)*'|[^\s,;&}\])]+)"
    ),
    # Passwords inside URLs.
    re.compile(r"(?P<keep>[a-z][a-z0-9+.-]*://[^/\s:@]*:)[^/\s@]+(?=@)"),
)


def _hide(match: re.Match[str]) -> str:
    keep = match.groupdict().get("keep") or ""
    return keep + HIDDEN


def redact(text: str) -> str:
    """``text`` with keys, signatures, passwords, tokens and payers' ids replaced by ``[hidden]``."""
    for pattern in _PATTERNS:
        text = pattern.sub(_hide, text)
    return text


class RedactionFilter(logging.Filter):
    """Redacts the finished message and the traceback of each record that passes."""

    _formatter = logging.Formatter()

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        """Always let the record pass, redacted."""
        try:
            message = record.getMessage()
        except (TypeError, ValueError):
            # A wrong number of arguments is the caller's slip; logging reports it in its own way.
            return True
        record.msg = redact(message)
        record.args = None
        if record.exc_info and not record.exc_text:
            record.exc_text = self._formatter.formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = redact(record.exc_text)
        return True


class CalmRequests(logging.Filter):
    """For ``django.request``: a refusal (4xx) is one line without a traceback, and "not ready yet" is no error."""

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        """Let everything pass but the answers of ``/readyz``, whose text says what is wrong to whoever asked."""
        status = getattr(record, "status_code", 0)
        if 400 <= status < 500:
            record.exc_info = None
        request = getattr(record, "request", None)
        return not (status == 503 and getattr(request, "path", "") == "/readyz")
