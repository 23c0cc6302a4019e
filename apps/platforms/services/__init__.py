"""Writes of this room: accounts and their credentials, and the notification intake."""

from apps.platforms.services.accounts import (
    AccountNotFound,
    CredentialsRefused,
    PlatformUnreachable,
    connect_account,
    fingerprints_of,
    move_account,
    notify_url,
    recheck_account,
    reseal_account,
    set_active,
    update_account,
)
from apps.platforms.services.credentials import credentials_of
from apps.platforms.services.gateways import Caller, gateway_of, gateways_of
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
    "update_account",
]
