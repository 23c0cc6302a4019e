"""What can be wrong with the entries for Alipay, by public key or by certificates."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.x509 import Certificate
from django.utils.translation import gettext as _

from apps.core import clock
from apps.platforms import certificates, rsa
from apps.platforms.connectors.alipay import client as alipay
from apps.platforms.connectors.alipay import signing as alipay_signing
from apps.platforms.registry.fields import ALIPAY_CERTIFICATES, ALIPAY_KEY
from apps.platforms.registry.shapes.words import (
    certificate_words,
    ended_words,
    key_shapes,
    key_words,
)


def alipay_shape(values: Mapping[str, str]) -> dict[str, str]:
    """What is wrong with the entries, by field; also with those that are empty."""
    wrong: dict[str, str] = {}
    if not re.fullmatch(r"2088\d{12}", values["merchant_no"]):
        wrong["merchant_no"] = _("A PID has 16 digits and begins with 2088.")
    if not re.fullmatch(r"\d{16}", values["app_id"]):
        wrong["app_id"] = _("An APPID has 16 digits.")
    elif values["app_id"] == values["merchant_no"]:
        wrong["app_id"] = _("This is the PID. The APPID stands at the application in the console.")
    if set(ALIPAY_CERTIFICATES) & {name for name, value in values.items() if value}:
        return wrong | _alipay_certificates_shape(values)
    key_shapes(
        values,
        public=ALIPAY_KEY,
        own=_(
            "This is your application public key. Copy the Alipay public key, which the console shows next to it."
        ),
        wrong=wrong,
    )
    return wrong


def _alipay_certificates_shape(values: Mapping[str, str]) -> dict[str, str]:
    wrong: dict[str, str] = {}
    held: dict[str, tuple[Certificate, ...]] = {}
    now = clock.now()
    if values.get(ALIPAY_KEY):
        wrong[ALIPAY_KEY] = _(
            "Either the Alipay public key or the three certificates: the console shows which of the two the application uses. Leave the other empty."
        )
    for name in ALIPAY_CERTIFICATES:
        try:
            held[name] = certificates.load_all(values.get(name, ""))
        except rsa.UnusableKey as error:
            wrong[name] = certificate_words(error.reason)
    try:
        private = rsa.load_private_key(values.get("private_key", ""))
    except rsa.UnusableKey as error:
        wrong["private_key"] = key_words(error.reason)
        private = None
    if "app_certificate" in held and private is not None:
        wrong |= _app_certificate_shape(held["app_certificate"][0], private, now=now)
    roots = held.get("alipay_root_certificate")
    if roots is not None and not any(
        one.issuer == one.subject and alipay_signing.root_sn([one]) for one in roots
    ):
        wrong["alipay_root_certificate"] = _(
            "This is not Alipay's root certificate. Choose the file alipayRootCert.crt."
        )
        roots = None
    if "alipay_certificate" in held and roots is not None:
        wrong |= _alipay_certificate_shape(held["alipay_certificate"], roots, private, now=now)
    return wrong


def _app_certificate_shape(
    app: Certificate, private: RSAPrivateKey, *, now: datetime
) -> dict[str, str]:
    try:
        ours = rsa.same_key(private, certificates.rsa_key(app))
    except rsa.UnusableKey as error:
        return {"app_certificate": certificate_words(error.reason)}
    if not ours:
        words = _(
            "This certificate does not belong to the application private key above. Choose the file that begins with appCertPublicKey_, or the private key of the same application."
        )
        return {"app_certificate": words}
    if now > app.not_valid_after_utc:
        return {"app_certificate": ended_words(app.not_valid_after_utc)}
    return {}


def _alipay_certificate_shape(
    found: Sequence[Certificate],
    roots: Sequence[Certificate],
    private: RSAPrivateKey | None,
    *,
    now: datetime,
) -> dict[str, str]:
    theirs = alipay.own_certificates(found)
    try:
        public = [certificates.rsa_key(one) for one in theirs]
    except rsa.UnusableKey as error:
        return {"alipay_certificate": certificate_words(error.reason)}
    if private is not None and any(rsa.same_key(private, one) for one in public):
        words = _(
            "This is your own application certificate. Choose the file alipayCertPublicKey_RSA2.crt."
        )
        return {"alipay_certificate": words}
    ends_at = max(one.not_valid_after_utc for one in theirs)
    if now > ends_at:
        return {"alipay_certificate": ended_words(ends_at)}
    # Without its issuers in the file the chain cannot be followed; the first call then proves it.
    if len(found) > len(theirs) and not any(
        certificates.is_chained(one, between=found, roots=roots, at=now) for one in theirs
    ):
        words = _(
            "This was not issued under the root certificate below. Download all three files anew from the same application: sandbox and production do not fit each other."
        )
        return {"alipay_certificate": words}
    return {}
