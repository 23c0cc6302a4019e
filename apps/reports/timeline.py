"""What happened to an order, told in sentences; and a refund's way, told like a parcel's."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.core.logging import redact
from apps.core.models import AuditEvent
from apps.core.money import InvalidAmount, Money
from apps.core.templatetags.portal import money, platform_label
from apps.platforms import messages
from apps.platforms.wording import own_words
from apps.refunds.models import AUTOMATIC_REASON, Refund, RefundState
from apps.reports import wording

#: The road by which the word came, as the end of a sentence.
_VIA: Final[Mapping[str, Promise]] = {
    "notification": gettext_lazy("The platform told us."),
    "poll": gettext_lazy("Our regular check found out."),
    "query": gettext_lazy("Found out by asking the platform."),
    "close": gettext_lazy("Found out while closing it."),
    "start": gettext_lazy("The platform said so when it was started."),
    "charge": gettext_lazy("The platform said so when the code was shown to it."),
    "reverse": gettext_lazy("The platform said so when it was reversed."),
    "bill": gettext_lazy("Found in the platform's bill."),
    "send": gettext_lazy("The platform said so when it was sent."),
}

_SYSTEM: Final[Mapping[str, Promise]] = {
    "poll": gettext_lazy("Regular check"),
    "query": gettext_lazy("Question to the platform"),
    "notification": gettext_lazy("Notice of the platform"),
    "refunds": gettext_lazy("Sending of refunds"),
    "duplicates": gettext_lazy("Watch over double payments"),
    "send": gettext_lazy("Sending of refunds"),
    "approvals": gettext_lazy("Confirmations"),
    "close": gettext_lazy("Closing of unpaid orders"),
    "bill": gettext_lazy("Bills of the platforms"),
    "statements": gettext_lazy("Bills of the platforms"),
    "import_statement": gettext_lazy("Bills of the platforms"),
    "reconcile": gettext_lazy("Reconciliation"),
    "reconciliation": gettext_lazy("Reconciliation"),
    "rules": gettext_lazy("Rules of the reconciliation"),
    "export": gettext_lazy("Exports"),
    "demo": gettext_lazy("Demo data"),
}

_AGENTS: Final[tuple[tuple[str, Promise | str], ...]] = (
    ("MicroMessenger", gettext_lazy("WeChat")),
    ("AlipayClient", gettext_lazy("Alipay app")),
    ("UnionPay", gettext_lazy("UnionPay app")),
    ("Edg/", "Edge"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
)
_DEVICES: Final = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS", "macOS"),
    ("Linux", "Linux"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of a timeline, as templates/components/timeline.html draws it."""

    at: datetime
    title: str
    tone: str = "quiet"
    icon: str = "point"
    actor: str = ""
    origin: str = ""
    text: str = ""
    raw: str = ""


@dataclass(frozen=True, slots=True)
class Stop:
    """One stop on a refund's way: ``state`` is done, now, next or bad."""

    title: str
    at: datetime | None
    state: str


Data = Mapping[str, Any]


def _amount(data: Data) -> str:
    try:
        return str(money(Money(data["amount_minor"])))
    except (KeyError, InvalidAmount):
        return ""


def _named(data: Data) -> dict[str, str]:
    return {
        "amount": _amount(data),
        "platform": str(platform_label(data.get("platform", ""))),
        "way": wording.product_words(str(data.get("product", ""))),
    }


#: Action → (sentence, icon, tone). The sentence may name amount, platform and way.
_SENTENCES: Final[Mapping[str, tuple[Promise, str, str]]] = {
    "order.opened": (gettext_lazy("Order opened for %(amount)s"), "shopping-cart", "info"),
    "order.given_up": (gettext_lazy("Order given up; nothing new can be paid"), "x", "quiet"),
    "payment.created": (
        gettext_lazy("Payment of %(amount)s started with %(platform)s: %(way)s"),
        "wallet",
        "info",
    ),
    "payment.pending": (
        gettext_lazy("%(platform)s accepted it and waits for the customer"),
        "clock",
        "wait",
    ),
    "payment.unknown": (
        gettext_lazy("%(platform)s gave no clear answer; we keep asking"),
        "help-circle",
        "ask",
    ),
    "payment.succeeded": (
        gettext_lazy("%(amount)s paid with %(platform)s"),
        "circle-check",
        "ok",
    ),
    "payment.second": (
        gettext_lazy("Paid a second time: %(amount)s with %(platform)s"),
        "alert-triangle",
        "bad",
    ),
    "payment.second_kept": (
        gettext_lazy(
            "The second payment of %(amount)s stays, since the first one went back before. Please look whether it is owed."
        ),
        "alert-triangle",
        "bad",
    ),
    "payment.closed": (
        gettext_lazy("Closed at %(platform)s without payment"),
        "circle-x",
        "quiet",
    ),
    "payment.taken_back": (
        gettext_lazy("No longer taken for paid: what was believed of the bill was undone"),
        "arrow-back-up",
        "wait",
    ),
    "refund.taken_back": (
        gettext_lazy(
            "Refund of %(amount)s no longer taken for done: what was believed of the bill was undone"
        ),
        "arrow-back-up",
        "wait",
    ),
    "payment.doubted": (
        gettext_lazy(
            "%(platform)s calls it paid though it was being taken back; it is taken back once more, and the answer counts"
        ),
        "help-circle",
        "ask",
    ),
    "payment.failed": (gettext_lazy("Refused by %(platform)s"), "circle-x", "bad"),
    "payment.mismatch": (
        gettext_lazy("A notice did not fit this payment and changed nothing"),
        "alert-triangle",
        "bad",
    ),
    "refund.requested": (gettext_lazy("Refund of %(amount)s requested"), "receipt-refund", "info"),
    "refund_request.asked": (
        gettext_lazy("The customer asks for %(amount)s back"),
        "receipt-refund",
        "wait",
    ),
    "refund_request.withdrawn": (
        gettext_lazy("The customer no longer asks for %(amount)s back"),
        "arrow-back-up",
        "quiet",
    ),
    "refund_request.accepted": (
        gettext_lazy("The customer's request for %(amount)s was accepted"),
        "user-check",
        "ok",
    ),
    "refund_request.declined": (
        gettext_lazy("The customer's request for %(amount)s was declined"),
        "circle-x",
        "quiet",
    ),
    "refund.automatic": (
        gettext_lazy("Paid twice: the portal gives %(amount)s back by itself"),
        "receipt-refund",
        "info",
    ),
    "refund.confirmed": (gettext_lazy("Refund of %(amount)s confirmed"), "user-check", "ok"),
    "refund.processing": (
        gettext_lazy("The platform accepted the refund of %(amount)s"),
        "loader",
        "info",
    ),
    "refund.unknown": (
        gettext_lazy("No clear answer about the refund of %(amount)s; we keep asking"),
        "help-circle",
        "ask",
    ),
    "refund.queued": (
        gettext_lazy("The platform account holds too little for the refund of %(amount)s"),
        "hourglass",
        "wait",
    ),
    "refund.abnormal": (
        gettext_lazy("The customer's account did not take the refund of %(amount)s"),
        "alert-triangle",
        "bad",
    ),
    "refund.succeeded": (
        gettext_lazy("%(amount)s refunded to the customer"),
        "circle-check",
        "ok",
    ),
    "refund.failed": (
        gettext_lazy("The platform refused the refund of %(amount)s"),
        "circle-x",
        "bad",
    ),
    "refund.rejected": (gettext_lazy("Refund of %(amount)s refused"), "ban", "bad"),
    "refund.cancelled": (gettext_lazy("Refund of %(amount)s cancelled"), "x", "quiet"),
    "refund.mismatch": (
        gettext_lazy("A notice did not fit this refund and changed nothing"),
        "alert-triangle",
        "bad",
    ),
}


#: Codes of a plain yes.
_PLAIN_YES = frozenset({"SUCCESS", "TRADE_SUCCESS", "10000", "00"})
#: What a platform's clear answer leads to.
_SETTLED = frozenset(
    {
        "payment.succeeded",
        "payment.second",
        "payment.closed",
        "payment.pending",
        "refund.succeeded",
        "refund.processing",
    }
)


def _who(event: AuditEvent) -> str:
    if event.actor == "payer":
        return _("Customer")
    kind, _colon, name = event.actor.partition(":")
    if kind == "system":
        part = _SYSTEM.get(name, name)
        return _("Merchant Portal (%(part)s)") % {"part": part}
    return event.actor


def _device(agent: str) -> str:
    found = [str(words) for sign, words in _AGENTS if sign in agent][:1]
    found += [words for sign, words in _DEVICES if sign in agent][:1]
    return " · ".join(found)


def _about(action: str) -> messages.About | None:
    """What was asked for when an event's code came."""
    kind, _dot, _what = action.partition(".")
    return messages.About(kind) if kind in set(messages.About) else None


def _detail(data: Data, platform: str, *, settled: bool, about: messages.About | None) -> str:
    """What else there is to say: the reason, what the platform said in plain words, how we know.

    ``settled``: the platform gave a clear answer, so that a code without words of its own needs none. ``about``: what was
    asked for.
    """
    parts = []
    # Of what the portal does by itself the sentence gives the reason.
    if data.get("reason") and data["reason"] != AUTOMATIC_REASON:
        parts.append(_("Reason: %(reason)s") % {"reason": data["reason"]})
    if data.get("waits"):
        parts.append(_("Another member must confirm first."))
    code, said = str(data.get("code") or ""), str(data.get("message") or "")
    # A plain yes is already the sentence itself; its wording stays in the raw data.
    if (said or code) and code not in _PLAIN_YES:
        words: object = own_words(said)
        if platform and (not settled or code in messages.known_codes(platform)):
            words = messages.explain(platform, code, fallback=own_words(said), about=about)
        if words:
            parts.append(str(words))
    if data.get("what"):
        parts.append(str(data["what"]))
    if data.get("via") in _VIA:
        parts.append(str(_VIA[data["via"]]))
    return " ".join(parts)


def entry_of(event: AuditEvent, *, platform: str = "") -> Entry:
    """One event as a line. An action without a sentence is shown by its name, so that nothing is hidden.

    ``platform`` is where the order was paid, for events that do not say so themselves.
    """
    data: Data = event.data
    platform = str(data.get("platform") or platform)
    if event.action in _SENTENCES:
        sentence, icon, tone = _SENTENCES[event.action]
        title = str(sentence) % _named(data)
    else:
        title, icon, tone = event.action, "point", "quiet"
    origin = " · ".join(filter(None, [event.ip or "", _device(event.user_agent)]))
    return Entry(
        at=event.at,
        title=title,
        icon=icon,
        tone=tone,
        actor=_who(event),
        origin=origin,
        text=_detail(data, platform, settled=event.action in _SETTLED, about=_about(event.action)),
        raw=redact(json.dumps(data, ensure_ascii=False, indent=2)) if data else "",
    )


def timeline_of(events: list[AuditEvent], *, platform: str = "") -> list[Entry]:
    """All events of an order, latest first, as people read a story that is still going on."""
    return [entry_of(event, platform=platform) for event in reversed(events)]


def way_of(refund: Refund) -> list[Stop]:
    """Where a refund stands on its way to the customer."""
    stops = [Stop(_("Requested"), refund.created_at, "done")]
    stopped: dict[str, Callable[[], str]] = {
        RefundState.REJECTED: lambda: _("Refused"),
        RefundState.CANCELLED: lambda: _("Cancelled"),
        RefundState.FAILED: lambda: _("Refused by the platform"),
    }
    approval = refund.approval
    if approval is not None:
        if refund.state == RefundState.WAITING:
            stops.append(Stop(_("Waits for confirmation"), None, "now"))
        elif refund.state not in stopped or refund.state == RefundState.FAILED:
            stops.append(Stop(_("Confirmed"), approval.decided_at, "done"))
    if refund.state in stopped and refund.state != RefundState.FAILED:
        decided = approval.decided_at if approval is not None else None
        return [*stops, Stop(stopped[refund.state](), decided, "bad")]
    waiting = refund.state == RefundState.WAITING
    if refund.sent_at is None and refund.accepted_at is None:
        stops.append(Stop(_("Sent to the platform"), None, "next" if waiting else "now"))
    else:
        stops.append(Stop(_("Sent to the platform"), refund.sent_at or refund.accepted_at, "done"))
    if refund.state == RefundState.FAILED:
        return [*stops, Stop(stopped[refund.state](), None, "bad")]
    if refund.state == RefundState.QUEUED:
        stops.append(Stop(_("Waits for balance at the platform"), None, "now"))
    elif refund.state == RefundState.ABNORMAL:
        return [*stops, Stop(_("Needs action at the platform"), None, "bad")]
    done = refund.state == RefundState.SUCCEEDED
    moving = "next" if refund.sent_at is None or refund.state == RefundState.QUEUED else "now"
    stops.append(Stop(_("With the customer"), refund.refunded_at, "done" if done else moving))
    return stops
