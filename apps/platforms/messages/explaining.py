"""Finding the words for a code."""

from __future__ import annotations

import re

from django.utils.functional import Promise
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from apps.platforms.gateway import Platform, StatementUnreadable
from apps.platforms.messages import alipay, shared, shouqianba, statements, unionpay, wechatpay

_TABLES: dict[Platform, dict[str, Promise]] = {
    Platform.WECHATPAY: wechatpay.CODES,
    Platform.ALIPAY: alipay.CODES,
    Platform.UNIONPAY: unionpay.CODES,
    Platform.SHOUQIANBA: shouqianba.CODES,
}
_SERVER_TROUBLE = _(
    "The platform's server is in trouble ({code}). The result is not known yet; the portal asks again by itself."
)
_UNKNOWN = _(
    "The platform answered with the code {code}. No state was changed by it here; look the code up on the merchant platform or ask the platform's service."
)
_AT_LINE = _("Line {line}: {words}")
_AT_CELL = _("Line {line}, column {column}: {words}")


def explain(platform: Platform | str, code: str, *, fallback: str = "") -> Promise | str:
    """Plain words for a platform's code (or one of ours), translated when shown.

    An unknown code gives ``fallback``, or a sentence that names the code. An empty code gives ``fallback``.
    """
    table = _TABLES.get(Platform(platform), {})
    for known in (table, shared.CODES):
        if code in known:
            return known[code]
    if re.fullmatch(r"http_\d{3}", code):
        return format_lazy(_SERVER_TROUBLE, code=code.removeprefix("http_"))
    if fallback or not code:
        return fallback
    return format_lazy(_UNKNOWN, code=code)


def explain_statement(error: StatementUnreadable) -> Promise | str:
    """Plain words for a bill that cannot be read, with the place in the file where it is known."""
    words = statements.REASONS.get(error.reason, statements.REASONS["other_format"])
    if error.line is None:
        return words
    if error.column is None:
        return format_lazy(_AT_LINE, line=error.line, words=words)
    return format_lazy(_AT_CELL, line=error.line, column=error.column, words=words)


def known_codes(platform: Platform | str) -> frozenset[str]:
    """The codes that have words of their own."""
    return frozenset(_TABLES.get(Platform(platform), {})) | frozenset(shared.CODES)
