"""Plain words for what this room's pages show: capabilities, checks of credentials, verdicts on notifications."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.core.models import AuditEvent
from apps.platforms import messages, registry, selectors
from apps.platforms.gateway import (
    API_V3_KEY_WRONG,
    Capability,
    CheckState,
    CredentialCheck,
    Platform,
)
from apps.platforms.models import Notification, NotificationState, Verdict

_CAPABILITIES: Mapping[Capability, Promise] = {
    Capability.IN_APP: gettext_lazy("Pay inside the wallet after scanning a code"),
    Capability.DYNAMIC_QR: gettext_lazy("Show a code for one order on a screen"),
    Capability.BROWSER: gettext_lazy("Pay from a phone's browser"),
    Capability.BARCODE: gettext_lazy("Scan the customer's payment code"),
    Capability.CLOSE: gettext_lazy("Close unpaid orders"),
    Capability.REVERSE: gettext_lazy("Undo a payment of unclear outcome"),
    Capability.REFUND: gettext_lazy("Refund"),
    Capability.PARTIAL_REFUND: gettext_lazy("Refund a part"),
    Capability.PAYER_IDENTITY: gettext_lazy("Recognise a returning payer"),
    Capability.TRADE_STATEMENT: gettext_lazy("Daily bill of payments and refunds"),
    Capability.FUND_STATEMENT: gettext_lazy("Daily bill of balance movements"),
}

#: The look of a check, as a state word of the shared badges.
_CHECK_STATES = {
    CheckState.GOOD.value: "working",
    CheckState.BAD.value: "broken",
    CheckState.UNREACHABLE.value: "unchecked",
    "": "unchecked",
}

_SIGNATURE_WORDS: Mapping[str, Promise] = {
    "missing": gettext_lazy("It carries no signature."),
    "timestamp": gettext_lazy(
        "Its time stamp is too far from our clock: an old notification sent again by somebody, or a wrong clock."
    ),
    "serial": gettext_lazy(
        "It was signed with a key that this account does not know. If the platform changed its key, "
        "store the new one in the account."
    ),
    "probe": gettext_lazy(
        "The platform sent a wrong signature on purpose to see whether it is checked."
    ),
    "wrong": gettext_lazy("The signature does not belong to these bytes."),
    "certificate": gettext_lazy("It carries a certificate that cannot be read."),
    "chain": gettext_lazy(
        "It was signed with a certificate that was not issued under the root and middle certificates of this account."
    ),
    "expired": gettext_lazy("It was signed with a certificate that is not valid at this time."),
    "owner": gettext_lazy("It was signed with a certificate that is not the platform's."),
}


def capability_words(capabilities: Iterable[Capability]) -> list[str]:
    """What an account can do, in the order in which a shop meets it."""
    held = set(capabilities)
    return [str(words) for capability, words in _CAPABILITIES.items() if capability in held]


def check_badge(check_state: str) -> str:
    """The value for the shared state badge."""
    return _CHECK_STATES.get(check_state, "unchecked")


#: What is wrong with a platform's answer, by the code of ``PlatformUnavailable``.
_TROUBLES: Final[Mapping[str, Promise]] = {
    "timeout": gettext_lazy("no answer in time"),
    "network": gettext_lazy("no connection"),
    "bad_signature": gettext_lazy("an answer with a wrong signature"),
    "bad_answer": gettext_lazy("an answer that cannot be read"),
}


#: The connectors' own remarks, kept in English with a payment or refund.
_REMARKS: Final[Mapping[str, Promise]] = {
    "no answer in time": _TROUBLES["timeout"],
    "the platform could not be reached": gettext_lazy("the platform could not be reached"),
    "the answer is too large": gettext_lazy("the answer is too large"),
    "the answer names another amount": gettext_lazy("the answer names another amount"),
}
_SERVER_REMARK = re.compile(r"the platform's server answered (\d{3})")
#: What the platforms say is Chinese, and what our connectors say English.
_THEIRS = re.compile("[\u3400-\u9fff]")


def trouble_words(code: str) -> str:
    """What was wrong with a platform's last answer; the code itself where there are no words for it."""
    if re.fullmatch(r"http_\d{3}", code):
        return _("server trouble (%(status)s)") % {"status": code.removeprefix("http_")}
    return str(_TROUBLES.get(code, code)) or _("no usable answer")


def remark_words(
    platform: Platform | str, code: str, said: str, *, about: messages.About | None = None
) -> str:
    """What is kept with a payment or refund about the last answer, in the reader's words where there are any."""
    if code in messages.known_codes(platform):
        return str(messages.explain(platform, code, fallback=said, about=about))
    if found := _SERVER_REMARK.fullmatch(said):
        return trouble_words(f"http_{found[1]}")
    return str(_REMARKS[said]) if said in _REMARKS else own_words(said)


def own_words(said: str) -> str:
    """Free text of a platform, marked as such since it is in no language of the reader's choice; remarks of ours as they are."""
    if not _THEIRS.search(said):
        return said
    return _("The platform's own words: “%(said)s”") % {"said": said}


def check_words(platform: Platform | str, check: CredentialCheck) -> str:
    """What a live check found, for the person at the form."""
    if check.state is CheckState.GOOD:
        return _("The platform accepted the credentials.")
    if check.state is CheckState.UNREACHABLE:
        return _(
            "The platform could not be asked just now (%(reason)s), so nobody knows yet whether the credentials are right."
        ) % {"reason": trouble_words(check.code)}
    if check.code == "bad_signature":
        return _("The platform's answer does not verify with this key. Copy the key again.")
    fallback = check.message or _("The platform refused these credentials.")
    return str(messages.explain(platform, check.code, fallback=fallback))


def untried_words(platform: Platform | str) -> str:
    """What the person should know about entries that could not be tried; empty where all were."""
    labels = [str(field.label) for field in registry.untried_fields(platform)]
    if not labels:
        return ""
    return _(
        "The %(key)s cannot be tried beforehand: the first notification proves it. If it is wrong, the account turns "
        "red here."
    ) % {"key": ", ".join(labels)}


def _nothing_to_do(row: Notification) -> bool:
    return row.state == NotificationState.APPLIED and row.detail == "nothing_to_do"


def _wrong_key(row: Notification) -> bool:
    return row.verdict == Verdict.UNREADABLE and row.detail == API_V3_KEY_WRONG


def notification_badge(row: Notification) -> str:
    """The value for the shared state badge: what announced nothing to act on is not called applied."""
    return NotificationState.RECEIVED if _nothing_to_do(row) else row.state


#: Of a notification that was refused for its time stamp: who signed it was not looked at.
TOO_OLD: Final = gettext_lazy("Too old or sent again")


def verdict_words(row: Notification) -> str:
    """What the signature check said, in a word or two; empty before it was made."""
    if row.verdict == Verdict.BAD_SIGNATURE and row.detail == selectors.TOO_OLD:
        return str(TOO_OLD)
    return str(row.get_verdict_display())


def signature_words(reason: str) -> str:
    """Why a signature was refused, by the word that the connectors have for it."""
    return str(_SIGNATURE_WORDS.get(reason, _SIGNATURE_WORDS["wrong"]))


def notification_words(row: Notification) -> str:
    """What a notification's verdict and state mean, as one or two sentences."""
    if row.verdict == Verdict.BAD_SIGNATURE:
        return _("%(reason)s It had no effect.") % {"reason": signature_words(row.detail)}
    if _wrong_key(row):
        return _(
            "APIv3 key wrong: the signature is good, but the content does not open with the key stored here. "
            "It had no effect. Store the right key in the account; afterwards this can be processed again."
        )
    if row.verdict == Verdict.UNREADABLE:
        return _("It could not be read, or is meant for another account. It had no effect.")
    if _nothing_to_do(row):
        return _("The signature is good. It announces nothing that the portal acts on.")
    return str(_STATE_WORDS.get(row.state, ""))


_STATE_WORDS: Mapping[str, Promise] = {
    NotificationState.RECEIVED: gettext_lazy(
        "It was stored and not processed yet. The platform sends it again; you can also process it here."
    ),
    NotificationState.APPLIED: gettext_lazy("The signature is good and it was applied."),
    NotificationState.REPEATED: gettext_lazy(
        "The signature is good. The same event was applied before, so nothing was done again."
    ),
    NotificationState.UNMATCHED: gettext_lazy(
        "The signature is good, but no payment of this merchant has this number. The money, if any, will stand in "
        "the platform's bill."
    ),
    NotificationState.REFUSED: gettext_lazy(
        "The signature is good, but it contradicts what we know about the payment, such as its amount. "
        "Nothing was changed."
    ),
    NotificationState.FAILED: gettext_lazy(
        "Processing it failed on our side. It is tried again by itself; nothing is lost."
    ),
}

#: What became of a terminal at an account: words, icon, tone.
TERMINAL_EVENTS: Final[Mapping[str, tuple[Promise, str, str]]] = {
    "account.terminal_activated": (
        gettext_lazy("Terminal activated at the platform"),
        "plug",
        "ok",
    ),
    "account.terminal_found": (gettext_lazy("Terminal's key found again"), "circle-check", "ok"),
    "account.terminal_lost": (
        gettext_lazy("Platform accepts none of a terminal's keys"),
        "alert-triangle",
        "bad",
    ),
    "account.terminal_off": (gettext_lazy("Terminal no longer used at an account"), "ban", "wait"),
}
#: The same of an account's history.
_EVENTS: Final[Mapping[str, tuple[Promise, str, str]]] = {
    "account.connected": (gettext_lazy("Connected"), "plug-connected", "ok"),
    "account.changed": (gettext_lazy("Changed"), "pencil", "info"),
    "account.keys_asked": (gettext_lazy("New keys wait for confirmation"), "hourglass", "wait"),
    "account.keys_changed": (gettext_lazy("Keys replaced, confirmed by another"), "check", "ok"),
    "account.keys_dropped": (gettext_lazy("New keys not confirmed"), "ban", "quiet"),
    "account.checked": (gettext_lazy("Checked"), "refresh", "quiet"),
    "account.moved": (gettext_lazy("Moved in the order of preference"), "arrows-exchange", "quiet"),
    "account.renewed": (gettext_lazy("Platform's certificate renewed"), "refresh", "quiet"),
    "account.paused": (gettext_lazy("Paused"), "player-pause", "wait"),
    "account.resumed": (gettext_lazy("Resumed"), "player-play", "ok"),
    **TERMINAL_EVENTS,
}
_CHECK_RESULTS: Mapping[str, Promise] = {
    "good": gettext_lazy("The platform accepted the credentials."),
    "bad": gettext_lazy("The platform refused these credentials."),
    "unreachable": gettext_lazy("The platform could not be asked."),
}
#: The same, where a notification was the proof.
_PROOFS: Mapping[str, Promise] = {
    "good": gettext_lazy("A notification opened with the APIv3 key again."),
    "bad": gettext_lazy("APIv3 key wrong: a genuine notification did not open with it."),
}


def event_entry(event: AuditEvent) -> dict[str, Any]:
    """One line of an account's history, as the shared timeline draws it."""
    title, icon, tone = _EVENTS.get(event.action, (event.action, "point", "quiet"))
    check = str(event.data.get("check", ""))
    if event.data.get("by") == "notification":
        words = [str(_PROOFS[check])] if check in _PROOFS else []
    else:
        words = [str(_CHECK_RESULTS[check])] if check in _CHECK_RESULTS else []
    if event.action == "account.moved":
        words.append(_("It is now number %(place)s.") % {"place": event.data.get("place", "")})
    if event.data.get("replaced"):
        words.append(_("Credentials were replaced."))
    return {
        "at": event.at,
        "title": title,
        "icon": icon,
        "tone": {"bad": "bad", "unreachable": "wait"}.get(check, tone),
        "actor": event.actor,
        "origin": event.ip or "",
        "text": " ".join(words),
    }


def notification_detail(row: Notification) -> str:
    """The reason as a connector or handler gave it, for support; empty where the words above say it all."""
    said = row.detail in _SIGNATURE_WORDS or row.detail in {"nothing_to_do", API_V3_KEY_WRONG}
    return "" if said else row.detail


def shown_headers(headers: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The headers kept of a delivery; of a signature only its beginning, enough to tell two apart."""
    shown: list[tuple[str, str]] = []
    for name, value in sorted(headers.items()):
        text = str(value)
        if (name.endswith("-signature") or name == "authorization") and len(text) > 16:
            text = f"{text[:12]}…"
        shown.append((name.lstrip(":"), text))
    return shown
