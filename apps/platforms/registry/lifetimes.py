"""How long what is stored lives: when an account's certificates end, and whether its platform renews them."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

from apps.platforms import certificates, rsa
from apps.platforms.connectors.alipay import client as alipay
from apps.platforms.connectors.unionpay import signing as unionpay
from apps.platforms.gateway import Capability, Credentials, Platform
from apps.platforms.registry.fields import credential_fields
from apps.platforms.registry.gateways import capabilities_of

#: The entry by which an account lives by certificates that its platform renews.
_RENEWED = {Platform.WECHATPAY: "platform_certificates", Platform.ALIPAY: "app_certificate"}


def renews(platform: Platform | str, credentials: Credentials) -> bool:
    """Whether the account lives by certificates that its platform renews."""
    known = Platform(platform)
    name = _RENEWED.get(known, "")
    able = Capability.RENEWAL in capabilities_of(known)
    return able and bool(credentials.keys.get(name, "").strip())


def certificate_facts(
    platform: Platform | str, credentials: Credentials
) -> list[tuple[str, datetime]]:
    """The entries that hold certificates and when they end, in the order of the form; nothing for what cannot be read.

    Where an entry holds several of one kind, the old and the new, it ends with the last of them.
    """
    known = Platform(platform)
    facts: list[tuple[str, datetime]] = []
    for entry in credential_fields(known):
        text = credentials.keys.get(entry.name, "")
        if not text.strip():
            continue
        with suppress(rsa.UnusableKey, unionpay.UnusableCertificate):
            ends = _ends_of(known, entry.name, credentials)
            if ends:
                facts.append((entry.name, max(ends)))
    return facts


def _ends_of(platform: Platform, name: str, credentials: Credentials) -> list[datetime]:
    text = credentials.keys[name]
    match platform, name:
        case Platform.WECHATPAY, "platform_certificates":
            found = certificates.load_all(text)
        case Platform.ALIPAY, "app_certificate":
            # What follows is its issuers.
            found = certificates.load_all(text)[:1]
        case Platform.ALIPAY, "alipay_certificate":
            found = tuple(alipay.stored_certificates(credentials.keys))
        case Platform.ALIPAY, "alipay_root_certificate":
            found = certificates.load_all(text)
        case Platform.UNIONPAY, "certificate":
            password = credentials.keys.get("certificate_password", "")
            return [unionpay.load_signer(text, password).valid_until]
        case Platform.UNIONPAY, "root_certificate" | "middle_certificate":
            return [one.not_valid_after_utc for one in unionpay.load_certificates(text)]
        case _:
            return []
    return [one.not_valid_after_utc for one in found]
