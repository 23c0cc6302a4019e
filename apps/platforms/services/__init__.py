"""Writes of this room: accounts, their credentials and terminals, and the notification intake.

``asking``, ``rounds`` and ``pacing`` are what higher rooms ask the platforms with; they import them by name.
"""

from apps.platforms.services.accounts import (
    AccountNotFound,
    connect_account,
    move_account,
    notify_url,
    recheck_account,
    reseal_account,
    set_active,
    update_account,
)
from apps.platforms.services.credentials import credentials_of, fingerprints_of
from apps.platforms.services.gateways import Caller, gateway_of, gateways_of, terminal_of
from apps.platforms.services.notifications import (
    BodyExpired,
    NotificationNotFound,
    Receipt,
    expire_bodies,
    merchants_with_accounts,
    receive,
    reprocess_notification,
)
from apps.platforms.services.terminals import needs_activation, portal_terminal
from apps.platforms.services.trying import CredentialsRefused, PlatformUnreachable
from apps.platforms.services.verdicts import last_check

__all__ = [
    "AccountNotFound",
    "BodyExpired",
    "Caller",
    "CredentialsRefused",
    "NotificationNotFound",
    "PlatformUnreachable",
    "Receipt",
    "connect_account",
    "credentials_of",
    "expire_bodies",
    "fingerprints_of",
    "gateway_of",
    "gateways_of",
    "last_check",
    "merchants_with_accounts",
    "move_account",
    "needs_activation",
    "notify_url",
    "portal_terminal",
    "receive",
    "recheck_account",
    "reprocess_notification",
    "reseal_account",
    "set_active",
    "terminal_of",
    "update_account",
]
