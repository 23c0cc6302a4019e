"""Writes of this room: accounts and their credentials, and the notification intake."""

from apps.platforms.services.accounts import (
    AccountNotFound,
    CredentialsRefused,
    PlatformUnreachable,
    connect_account,
    credentials_of,
    fingerprints_of,
    gateway_of,
    notify_url,
    recheck_account,
    reseal_account,
    set_active,
    update_account,
)
from apps.platforms.services.notifications import (
    BodyExpired,
    NotificationNotFound,
    Receipt,
    expire_bodies,
    merchants_with_accounts,
    receive,
    reprocess_notification,
)
from apps.platforms.services.verdicts import last_check

__all__ = [
    "AccountNotFound",
    "BodyExpired",
    "CredentialsRefused",
    "NotificationNotFound",
    "PlatformUnreachable",
    "Receipt",
    "connect_account",
    "credentials_of",
    "expire_bodies",
    "fingerprints_of",
    "gateway_of",
    "last_check",
    "merchants_with_accounts",
    "notify_url",
    "receive",
    "recheck_account",
    "reprocess_notification",
    "reseal_account",
    "set_active",
    "update_account",
]
