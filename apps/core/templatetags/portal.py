"""Template tags and filters that every page shares: money, times, numbers, icons, states, permissions.

Filters give up quietly: a value that they cannot show becomes an empty string, as Django's own do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from django import template
from django.templatetags.static import static
from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from apps.core import clock
from apps.core.money import InvalidAmount, Money

register = template.Library()

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """How one state is shown: its word, an icon, a tone (see tokens.css) and what happens next."""

    label: str | Promise
    icon: str
    tone: str
    hint: str | Promise = ""


_PENDING = State(
    label=_("Pending"),
    icon="clock",
    tone="wait",
    hint=_("The customer has not paid yet. It closes by itself when its time is up."),
)
_PAID = State(
    label=_("Paid"), icon="circle-check", tone="ok", hint=_("The platform confirmed the money.")
)
_UNKNOWN = State(
    label=_("Unknown, asking"),
    icon="help-circle",
    tone="ask",
    hint=_("The platform gave no clear answer. We keep asking until it does; nothing is lost."),
)
_REFUNDING = State(
    label=_("Refunding"),
    icon="loader",
    tone="info",
    hint=_("The platform is working on it. The money usually arrives within minutes."),
)
_REFUNDED = State(
    label=_("Refunded"),
    icon="receipt-refund",
    tone="info",
    hint=_("The platform confirmed that the money went back to the customer."),
)
_WAITING_CONFIRMATION = State(
    label=_("Waiting for confirmation"),
    icon="user-check",
    tone="wait",
    hint=_("Another member must confirm before anything is sent."),
)
_REFUSED = State(
    label=_("Refused"), icon="ban", tone="bad", hint=_("It was refused. No money moved.")
)
_EXPIRED = State(label=_("Expired"), icon="clock-x", tone="quiet", hint=_("Its time is over."))
_FAILED = State(label=_("Failed"), icon="circle-x", tone="bad")
_RUNNING = State(label=_("Running"), icon="loader", tone="info", hint=_("It is being worked on."))
_DONE = State(label=_("Done"), icon="circle-check", tone="ok")

#: State words, by value, or by ``kind.value`` where the same value means something else.
STATES: Mapping[str, State] = {
    # payments and orders
    "created": _PENDING,
    "pending": _PENDING,
    "order.open": _PENDING,
    "paid": _PAID,
    "succeeded": _PAID,
    "unknown": _UNKNOWN,
    "closed": State(
        label=_("Closed"),
        icon="circle-x",
        tone="quiet",
        hint=_("It was not paid in time, or was cancelled. No money moved."),
    ),
    "failed": _FAILED,
    "payment.failed": State(
        label=_("Failed"),
        icon="circle-x",
        tone="bad",
        hint=_("The platform refused it. No money moved."),
    ),
    "partly_refunded": State(label=_("Partly refunded"), icon="receipt-refund", tone="info"),
    # refunds
    "waiting": _WAITING_CONFIRMATION,
    "ready": _REFUNDING,
    "processing": _REFUNDING,
    "refunding": _REFUNDING,
    "refund.created": _REFUNDING,
    "refund.pending": _REFUNDING,
    "refund.succeeded": _REFUNDED,
    "refunded": _REFUNDED,
    "queued": State(
        label=_("Waiting for platform balance"),
        icon="hourglass",
        tone="wait",
        hint=_(
            "The account at the platform holds too little. It is sent again when there is enough."
        ),
    ),
    "abnormal": State(
        label=_("Needs action at the platform"),
        icon="alert-triangle",
        tone="bad",
        hint=_(
            "The customer's account did not take the money. Settle it in the platform's console."
        ),
    ),
    "refund.failed": State(
        label=_("Failed"),
        icon="circle-x",
        tone="bad",
        hint=_("The platform refused it. The money stays with the shop."),
    ),
    "rejected": _REFUSED,
    "refused": _REFUSED,
    "cancelled": State(label=_("Cancelled"), icon="x", tone="quiet", hint=_("No money moved.")),
    # approvals
    "approval.pending": _WAITING_CONFIRMATION,
    "approved": State(label=_("Confirmed"), icon="circle-check", tone="ok"),
    "voided": State(
        label=_("Void"),
        icon="ban",
        tone="quiet",
        hint=_("What was to be confirmed has changed, so the request no longer counts."),
    ),
    "expired": _EXPIRED,
    # codes, accounts, members
    "active": State(label=_("Active"), icon="circle-check", tone="ok"),
    "paused": State(
        label=_("Paused"),
        icon="player-pause",
        tone="wait",
        hint=_("It takes no payments until it is resumed."),
    ),
    "retired": State(
        label=_("Retired"), icon="archive", tone="quiet", hint=_("It is no longer used.")
    ),
    "not_yet": State(
        label=_("Not yet valid"),
        icon="calendar-event",
        tone="quiet",
        hint=_("Its valid period has not begun."),
    ),
    "disabled": State(label=_("Switched off"), icon="ban", tone="quiet"),
    "invited": State(
        label=_("Invited"),
        icon="mail",
        tone="wait",
        hint=_("The invitation was sent and has not been accepted yet."),
    ),
    "working": State(
        label=_("Working"),
        icon="plug-connected",
        tone="ok",
        hint=_("The last check with the platform succeeded."),
    ),
    "unchecked": State(label=_("Not checked yet"), icon="plug", tone="wait"),
    "broken": State(
        label=_("Not working"),
        icon="plug-x",
        tone="bad",
        hint=_("The platform refused the credentials at the last check."),
    ),
    # bills and reconciliation
    "statement.waiting": State(
        label=_("Waiting for the platform"),
        icon="hourglass",
        tone="wait",
        hint=_("The platform publishes a day's bill the next morning."),
    ),
    "imported": State(label=_("Imported"), icon="circle-check", tone="ok"),
    "empty": State(label=_("Nothing on that day"), icon="minus", tone="quiet"),
    "statement.failed": State(
        label=_("Failed, will try again"), icon="alert-triangle", tone="wait"
    ),
    "running": _RUNNING,
    "done": _DONE,
    "balanced": State(
        label=_("Balanced"),
        icon="circle-check",
        tone="ok",
        hint=_("Every row of the bill is matched or explained."),
    ),
    "has_differences": State(
        label=_("Differences"),
        icon="alert-triangle",
        tone="bad",
        hint=_("Some rows do not match and need a look."),
    ),
    "matched": State(label=_("Matched"), icon="equal", tone="ok"),
    "open": State(label=_("Open"), icon="circle-dot", tone="wait"),
    "explained": State(label=_("Explained"), icon="notes", tone="info"),
    "resolved": State(label=_("Resolved"), icon="checks", tone="ok"),
    # notifications
    "received": State(label=_("Received"), icon="inbox", tone="quiet"),
    "applied": State(label=_("Applied"), icon="circle-check", tone="ok"),
    "repeated": State(label=_("Repeated, no effect"), icon="refresh", tone="quiet"),
    "unmatched": State(label=_("No payment of ours"), icon="question-mark", tone="wait"),
    "notification.refused": State(label=_("Refused"), icon="ban", tone="bad"),
    "notification.failed": State(label=_("Not applied yet"), icon="clock", tone="wait"),
}

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
