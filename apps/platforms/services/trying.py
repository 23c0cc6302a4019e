"""Credentials that somebody entered: their shape, and the live call that proves them before anything is stored.

``activate`` and ``check`` call the platform, so never inside a transaction. Nothing here logs or stores a secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from django.utils.translation import gettext as _

from apps.platforms import registry, wording
from apps.platforms.gateway import CheckState, CredentialCheck, Credentials, Platform
from apps.platforms.models import PlatformAccount
from apps.platforms.services import terminals
from apps.platforms.services.gateways import gateway_with


class CredentialsRefused(Exception):
    """Nothing was stored: ``field`` names the input at fault ("" where none can be told), ``message`` says why.

    ``errors`` holds all of them where several inputs are at fault.
    """

    def __init__(
        self, field: str, message: str, *, errors: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message
        self.errors = dict(errors or {field: message})


class PlatformUnreachable(CredentialsRefused):
    """Nothing was stored, since the platform gave no usable answer. The caller may ask again with ``unchecked``."""


def known_platform(platform: str) -> Platform:
    """The platform of this name. Raises CredentialsRefused where none can be connected under it."""
    if platform not in registry.connected_platforms():
        raise CredentialsRefused("", _("This platform cannot be connected yet."))
    return Platform(platform)


def stripped(credentials: Credentials) -> Credentials:
    """The entries without the blanks that come with pasting; what is empty then is left out."""
    return Credentials(
        app_id=credentials.app_id.strip(),
        merchant_no=credentials.merchant_no.strip(),
        keys={name: value.strip() for name, value in credentials.keys.items() if value.strip()},
    )


def refuse_bad_shape(
    platform: Platform, credentials: Credentials, *, connecting: bool = True
) -> None:
    """Look at the entries without a call; ``connecting`` as in the registry. Raises CredentialsRefused."""
    errors = registry.validate_credentials_shape(platform, credentials, connecting=connecting)
    if errors:
        field, message = next(iter(errors.items()))
        raise CredentialsRefused(field, message, errors=errors)


def without_code(credentials: Credentials) -> tuple[Credentials, str]:
    """What is stored of the entries, and the activation code among them, which is not."""
    keys = dict(credentials.keys)
    code = keys.pop(registry.ACTIVATION_CODE, "")
    return replace(credentials, keys=keys), code


def activate(platform: Platform, credentials: Credentials, code: str) -> terminals.Activated:
    """Make a terminal of the portal's own of an activation code, which works once. Raises CredentialsRefused."""
    try:
        return terminals.call_activation(
            platform=platform, credentials=credentials, code=code, name=terminals.OUR_NAME
        )
    except terminals.ActivationRefused as refusal:
        raise CredentialsRefused(refusal.field, refusal.message) from refusal


def check(
    platform: Platform,
    credentials: Credentials,
    *,
    unchecked: bool,
    account: PlatformAccount | None = None,
) -> CredentialCheck:
    """Try credentials at the platform, by the terminal of ``account`` where it has one.

    Raises CredentialsRefused, and PlatformUnreachable unless ``unchecked``.
    """
    found = gateway_with(credentials, platform=platform, account=account).check_credentials()
    if found.state is CheckState.BAD:
        raise CredentialsRefused(found.field, wording.check_words(platform, found))
    if found.state is CheckState.UNREACHABLE and not unchecked:
        raise PlatformUnreachable("", wording.check_words(platform, found))
    return found
