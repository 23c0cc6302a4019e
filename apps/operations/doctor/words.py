"""Findings in plain words: what is wrong, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.core import clock
from apps.operations.doctor.findings import Check, Finding, Value
from apps.operations.doctor.sentences import CHECKS, SENTENCES, STATES
from apps.platforms import messages, registry
from apps.platforms.gateway import CheckState, CredentialCheck, Product
from apps.platforms.wording import check_words, signature_words

_PRODUCTS: Final[Mapping[str, Promise]] = {
    Product.IN_APP: gettext_lazy("Payment inside the wallet"),
    Product.DYNAMIC_QR: gettext_lazy("A code for one order"),
    Product.BROWSER: gettext_lazy("Payment from a phone's browser"),
    Product.BARCODE: gettext_lazy("The customer's payment code"),
}


@dataclass(frozen=True, slots=True)
class Told:
    """A finding in words. ``fix`` is empty where there is nothing to do."""

    finding: Finding
    check: str
    state: str
    title: str
    fix: str


def tell(finding: Finding) -> Told:
    """The finding in the language in use."""
    title, fix = SENTENCES.get(finding.code) or SENTENCES[f"{finding.code.partition('.')[0]}.*"]
    values = _filled(finding)
    return Told(
        finding=finding,
        check=str(CHECKS[finding.check]),
        state=str(STATES[finding.state]),
        title=str(title) % values,
        fix=" ".join((str(fix) % values).split()),
    )


def _filled(finding: Finding) -> dict[str, str]:
    """The values as people read them, with those that follow from them."""
    given: Mapping[str, Value] = finding.values
    values = {name: str(value) for name, value in given.items()}
    for name in ("until", "at"):
        if values.get(name):
            values[name] = _moment(values[name], day=finding.code.startswith("certificate"))
    if finding.code == "because":
        values["check"] = str(CHECKS[Check(values["check"])])
    if "field" in values:
        values |= _entry(values["platform"], values["field"])
    values["reason"] = _reason(finding)
    if "said" in values:
        values["signed"] = signature_words(values["said"])
    if finding.check is Check.CLOCK and "seconds" in values:
        values["off"] = _offset(int(given["seconds"]))
    if finding.check is Check.TERMINALS:
        name = values.get("name") or _("of the portal")
        values["which"] = f"{name} ({values.get('sn', '')})"
    if "product" in values:
        values["product"] = str(_PRODUCTS.get(values["product"], values["product"]))
    return values


def _moment(text: str, *, day: bool) -> str:
    at = datetime.fromisoformat(text).astimezone(clock.CHINA)
    return format(at, "%Y-%m-%d" if day else "%Y-%m-%d %H:%M")


def _entry(platform: str, name: str) -> dict[str, str]:
    """An entry as the connect form calls it, and where the form says that it is found."""
    for field in registry.credential_fields(platform):
        if field.name == name:
            return {"label": str(field.label), "help": str(field.help)}
    return {"label": str(_MORE_ENTRIES.get(name, name)), "help": ""}


_MORE_ENTRIES: Final[Mapping[str, Promise]] = {
    "app_certificate": gettext_lazy("Application certificate"),
    "alipay_certificate": gettext_lazy("Alipay certificate"),
    "alipay_root_certificate": gettext_lazy("Alipay root certificate"),
}


def _reason(finding: Finding) -> str:
    """What the platform's code means, for findings that come from one."""
    values = finding.values
    platform, code = str(values.get("platform", "")), str(values.get("code", ""))
    if not platform or not code:
        return ""
    if finding.check is Check.CREDENTIALS:
        check = CredentialCheck(
            state=CheckState.BAD,
            code=code,
            message=str(values.get("message", "")),
            field=str(values.get("field", "")),
        )
        return check_words(platform, check)
    return str(messages.explain(platform, code, fallback=str(values.get("message", ""))))


def _offset(seconds: int) -> str:
    size = abs(seconds)
    if size >= 120:
        minutes = round(size / 60)
        if seconds > 0:
            return _("%(count)s minutes (it is fast)") % {"count": minutes}
        return _("%(count)s minutes (it is slow)") % {"count": minutes}
    if seconds > 0:
        return _("%(count)s seconds (it is fast)") % {"count": size}
    return _("%(count)s seconds (it is slow)") % {"count": size}
