"""Template tags and filters that every page shares: money, times, numbers, icons, states, permissions.

Filters give up quietly: a value that they cannot show becomes an empty string, as Django's own do.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from django import template
from django.templatetags.static import static
from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from apps.core import clock, names
from apps.core.money import InvalidAmount, Money
from apps.core.states import STATES, State

register = template.Library()

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400

_PLATFORMS: Mapping[str, tuple[str | Promise, str]] = {
    "wechatpay": (_("WeChat Pay"), "brand-wechat"),
    "alipay": (_("Alipay"), "brand-alipay"),
    "unionpay": (_("UnionPay QuickPass"), "credit-card"),
    "shouqianba": (_("Shouqianba"), "wallet"),
}


def _money(value: object) -> Money | None:
    if isinstance(value, Money):
        return value
    if type(value) is int:
        return Money(value)
    return None


@register.filter
def money(value: object) -> str:
    """Fen or Money as ``¥1,234.50``; a true minus sign stands before the symbol: ``−¥12.00``."""
    amount = _money(value)
    return "" if amount is None else amount.display()


@register.filter
def yuan(value: object) -> str:
    """Fen, Money or text as plain yuan for inputs and files: ``1234.50``."""
    if isinstance(value, str):
        try:
            return Money.from_yuan(value).to_yuan()
        except InvalidAmount:
            return value
    amount = _money(value)
    return "" if amount is None else amount.to_yuan()


@register.filter
def negative(value: object) -> Money | int | str:
    """The amount with its sign turned, for refunds that are stored as positive amounts."""
    if isinstance(value, Money):
        return -value
    return -value if type(value) is int else ""


@register.filter
def grouped(value: object) -> str:
    """A count with thousands separators: ``12,345``."""
    return f"{value:,}" if type(value) is int else ""


@register.filter
def number_groups(value: object) -> list[str]:
    """A long number cut into groups of four for the eye; joined again they are the number."""
    digits = "" if value is None else str(value)
    return [digits[start : start + 4] for start in range(0, len(digits), 4)]


def _aware(value: object) -> datetime | None:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value
    return None


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _title(at: datetime) -> str:
    local = at.astimezone(clock.CHINA)
    zone = gettext("China time (UTC+8)")
    return f"{local:%Y-%m-%d %H:%M:%S} {zone}"


@register.filter
def china_time(value: object, form: str = "seconds") -> str:
    """An aware instant in China time: ``2026-11-24 09:05:12``, the zone on hover.

    ``form``: ``seconds``, ``minutes``, ``time`` (09:05:12), ``day``, or ``text`` (seconds, without markup).
    """
    at = _aware(value)
    if at is None:
        return value.isoformat() if type(value) is date else ""
    local = at.astimezone(clock.CHINA)
    layouts = {"minutes": "%Y-%m-%d %H:%M", "time": "%H:%M:%S", "day": "%Y-%m-%d"}
    text = format(local, layouts.get(form, "%Y-%m-%d %H:%M:%S"))
    if form == "text":
        return text
    return format_html(
        '<time class="nowrap" datetime="{}" title="{}">{}</time>', _iso(at), _title(at), text
    )


def _age(seconds: int) -> str:
    """The words for an age in whole seconds; negative for what is still to come."""
    size = abs(seconds)
    if size < 45:
        return gettext("just now")
    if size < 3_570:
        count = max(1, size // _MINUTE)
        if seconds < 0:
            return ngettext("in %(count)d minute", "in %(count)d minutes", count) % {"count": count}
        return ngettext("%(count)d minute ago", "%(count)d minutes ago", count) % {"count": count}
    if size < _DAY:
        count = max(1, size // _HOUR)
        if seconds < 0:
            return ngettext("in %(count)d hour", "in %(count)d hours", count) % {"count": count}
        return ngettext("%(count)d hour ago", "%(count)d hours ago", count) % {"count": count}
    count = size // _DAY
    if seconds < 0:
        return ngettext("in %(count)d day", "in %(count)d days", count) % {"count": count}
    return ngettext("%(count)d day ago", "%(count)d days ago", count) % {"count": count}


@register.filter
def ago(value: object, now: datetime | None = None) -> str:
    """How long ago an aware instant was, in words; older than 30 days it is the date.

    The page keeps the words fresh by itself (base.js). Without ``now`` the clock is read.
    """
    at = _aware(value)
    if at is None:
        return ""
    seconds = int(((now or clock.now()) - at).total_seconds())
    if abs(seconds) >= 30 * _DAY:
        return china_time(at, "day")
    return format_html(
        '<time class="nowrap" datetime="{}" title="{}" data-ago>{}</time>',
        _iso(at),
        _title(at),
        _age(seconds),
    )


@register.filter
def may(holder: object, permission: str) -> bool:
    """Whether the request (its ``permissions``) or a set of permissions allows ``permission``."""
    permissions = getattr(holder, "permissions", holder)
    return isinstance(permissions, frozenset | set) and permission in permissions


@register.filter
def named(value: object) -> str:
    """The name of a merchant, store or scenario in the page's language (``core.names.named``)."""
    if not hasattr(value, "name"):
        return ""
    return names.named(value) if hasattr(value, "name_en") else str(value.name)


@register.simple_tag
def icon(name: str, css: str = "", label: str = "") -> SafeString:
    """An icon of the sprite. Without ``label`` it is decoration and hidden from screen readers.

    The names are listed in static/vendor/icons.txt.
    """
    href = f"{static('vendor/icons/sprite.svg')}#tabler-{name}"
    classes = f"icon {css}".strip()
    if label:
        return format_html(
            '<svg class="{}" role="img" aria-label="{}"><use href="{}"></use></svg>',
            classes,
            label,
            href,
        )
    return format_html(
        '<svg class="{}" aria-hidden="true" focusable="false"><use href="{}"></use></svg>',
        classes,
        href,
    )


def state_of(value: object, kind: str = "") -> State:
    """The look of a state value, such as ``"paid"`` or, for a refund, ``"succeeded"``.

    A value without an entry is shown as it is: an unexpected state must never look like a known one.
    """
    key = str(getattr(value, "value", value) or "").lower().replace(" ", "_").replace("-", "_")
    found = STATES.get(f"{kind}.{key}") or STATES.get(key)
    return found or State(label=key.replace("_", " ").capitalize(), icon="point", tone="quiet")


@register.simple_tag(name="state")
def state_tag(value: object, kind: str = "") -> State:
    """``{% state payment.state "payment" as s %}``: ``s.label``, ``s.icon``, ``s.tone``, ``s.hint``."""
    return state_of(value, kind)


@register.filter
def state_label(value: object, kind: str = "") -> str:
    """The word for a state in the page's language."""
    return str(state_of(value, kind).label)


@register.filter
def platform_label(value: object) -> str:
    """The name of a payment platform in the page's language."""
    key = str(getattr(value, "value", value))
    return str(_PLATFORMS[key][0]) if key in _PLATFORMS else key


@register.filter
def platform_icon(value: object) -> str:
    """The icon of a payment platform."""
    key = str(getattr(value, "value", value))
    return _PLATFORMS[key][1] if key in _PLATFORMS else "wallet"


@register.filter
def percent_of(part: object, whole: object) -> int:
    """``part`` of ``whole`` in whole percent, rounded down and kept within 0 and 100."""
    if type(part) is not int or type(whole) is not int or whole <= 0:
        return 0
    return max(0, min(100, part * 100 // whole))


@register.simple_tag(takes_context=True)
def here(context: dict[str, Any], *names: str) -> SafeString:
    """``aria-current="page"`` when the page's URL name, or its namespace, is one of ``names``."""
    request = context.get("request")
    match = getattr(request, "resolver_match", None)
    if match is None or not ({match.view_name, f"{match.namespace}:"} & set(names)):
        return SafeString("")
    return SafeString('aria-current="page"')


@register.simple_tag(takes_context=True)
def query(context: dict[str, Any], **changes: object) -> str:
    """The page's query string with some parameters changed; ``None`` or an empty string takes one out.

    A change of anything but the place in the list starts again at its first page.
    """
    request = context["request"]
    parameters = request.GET.copy()
    if not {"after", "before", "cursor"} & set(changes):
        for name in ("after", "before", "cursor"):
            parameters.pop(name, None)
    for name, value in changes.items():
        if value is None or value == "":
            parameters.pop(name, None)
        else:
            parameters[name] = str(value)
    text = parameters.urlencode()
    return f"?{text}" if text else "?"
