"""Finding the words for a code."""

from __future__ import annotations

import re
from collections.abc import Iterable

from django.utils import translation
from django.utils.functional import Promise
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from apps.platforms.gateway import Platform, StatementUnreadable
from apps.platforms.messages import alipay, shared, shouqianba, statements, unionpay, wechatpay
from apps.platforms.messages.about import About

_TABLES: dict[Platform, dict[str, Promise]] = {
    Platform.WECHATPAY: wechatpay.CODES,
    Platform.ALIPAY: alipay.CODES,
    Platform.UNIONPAY: unionpay.CODES,
    Platform.SHOUQIANBA: shouqianba.CODES,
}
#: Where the same code says another thing of a payment than of a refund. The general table has the words for both.
_BY_SUBJECT: dict[tuple[Platform, About], dict[str, Promise]] = {
    (Platform.WECHATPAY, About.PAYMENT): wechatpay.OF_PAYMENTS,
    (Platform.UNIONPAY, About.PAYMENT): unionpay.OF_PAYMENTS,
    (Platform.UNIONPAY, About.REFUND): unionpay.OF_REFUNDS,
}
#: How the sentences say that no money moved.
_NOTHING_MOVED = re.compile(
    r"nothing (was|is left) charged|no money moved|nothing was sent", re.IGNORECASE
)
_SERVER_TROUBLE = _(
    "The platform's server is in trouble ({code}). The result is not known yet; the portal asks again by itself."
)
_UNKNOWN = _(
    "The platform answered with the code {code}. No state was changed by it here; look the code up on the merchant platform or ask the platform's service."
)
_AT_LINE = _("Line {line}: {words}")
_AT_CELL = _("Line {line}, column {column}: {words}")


def explain(
    platform: Platform | str, code: str, *, fallback: str = "", about: About | None = None
) -> Promise | str:
    """Plain words for a platform's code (or one of ours), translated when shown.

    ``about``: what was asked for, where that is known. An unknown code gives ``fallback``, or a sentence that names the
    code. An empty code gives ``fallback``.
    """
    for known in _tables(platform, about):
        if code in known:
            return known[code]
    if re.fullmatch(r"http_\d{3}", code):
        return format_lazy(_SERVER_TROUBLE, code=code.removeprefix("http_"))
    if fallback or not code:
        return fallback
    return format_lazy(_UNKNOWN, code=code)


def says_nothing_moved(platform: Platform | str, code: str, *, about: About | None = None) -> bool:
    """Whether the words for a code say themselves that no money moved, so that a page need not."""
    with translation.override("en"):
        return bool(_NOTHING_MOVED.search(str(explain(platform, code, about=about))))


def _tables(platform: Platform | str, about: About | None) -> Iterable[dict[str, Promise]]:
    """Where words may stand, the closest ones first."""
    place = Platform(platform)
    if about is not None:
        yield _BY_SUBJECT.get((place, about), {})
    yield _TABLES.get(place, {})
    yield shared.CODES


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
