"""What is wrong with a key or a certificate, in plain words, alike for all platforms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from django.utils.translation import gettext as _

from apps.core import clock
from apps.platforms import rsa


def ended_words(ended_at: datetime) -> str:
    """Words for a certificate whose time is over."""
    day = clock.business_date(ended_at)
    return _("This certificate ended on %(day)s. Ask for a new one.") % {"day": day.isoformat()}


def certificate_words(reason: str) -> str:
    """Words for the reason of an ``UnusableKey`` or ``UnusableCertificate`` where a certificate was expected."""
    words = {
        "public": _("This is a public key; a certificate belongs here. Choose the file itself."),
        "password": _("The certificate does not open with this password."),
        "no_key": _(
            "This file holds no private key. Export the certificate again together with its private key."
        ),
        "private": _(
            "This is a private key; a certificate belongs here. Keep the private key to yourself."
        ),
        "not_rsa": _("This is not an RSA certificate, which is the only kind supported."),
        "weak": _("This key is too short; the platform asks for at least 2048 bits."),
    }
    return words.get(reason, _("This cannot be read as a certificate. Choose the file itself."))


def key_shapes(values: Mapping[str, str], *, public: str, own: str, wrong: dict[str, str]) -> None:
    """Try both keys, and whether the public one is merely the other half of the private one; adds to ``wrong``."""
    loaders: tuple[tuple[str, Callable[[str], object]], ...] = (
        ("private_key", rsa.load_private_key),
        (public, rsa.load_public_key),
    )
    for name, load in loaders:
        try:
            load(values.get(name, ""))
        except rsa.UnusableKey as error:
            wrong[name] = key_words(error.reason)
    if "private_key" not in wrong and public not in wrong:
        private = rsa.load_private_key(values["private_key"])
        if rsa.same_key(private, rsa.load_public_key(values[public])):
            wrong[public] = own


def key_words(reason: str) -> str:
    """Words for the reason of an ``UnusableKey`` where a key was expected."""
    words = {
        "public": _("This is a public key; the private key belongs here."),
        "private": _(
            "This is a private key; the public key belongs here. Keep the private key to yourself."
        ),
        "certificate": _("This is a certificate; a key is needed here."),
        "encrypted": _("This key is protected by a password. Paste it without one."),
        "not_rsa": _("This is not an RSA key."),
        "weak": _("This key is too short; the platform asks for at least 2048 bits."),
    }
    return words.get(
        reason,
        _("This cannot be read as a key. Paste the whole file, from BEGIN to END, unchanged."),
    )
