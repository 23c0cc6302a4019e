"""Connecting, changing and checking a merchant's accounts at the platforms.

Credentials are tried at the platform before anything is stored, outside every transaction, and sealed when stored.
Nothing here returns, logs or audits a secret.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from apps.core import audit, doors, encryption
from apps.core.audit import Actor
from apps.merchants.models import Store
from apps.platforms import registry, wording
from apps.platforms.gateway import (
    CheckState,
    CredentialCheck,
    Credentials,
    Platform,
    PlatformGateway,
)
from apps.platforms.models import AccountStore, PlatformAccount
from apps.platforms.services import verdicts

PURPOSE = "credentials"
DOOR = "account"
#: Characters of an account's public reference; about 115 bits.
REF_LENGTH = 20


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


class AccountNotFound(LookupError):
    """The merchant in scope has no such account."""


def connect_account(
    *,
    platform: str,
    label: str,
    credentials: Credentials,
    fee_rate_ppm: int,
    all_stores: bool,
    store_ids: Collection[int],
    actor: Actor,
    now: datetime,
    unchecked: bool = False,
) -> PlatformAccount:
    """Connect an account after a live call with its credentials. ``fee_rate_ppm``: 6000 is 0.6 %.

    ``unchecked`` stores it even if the platform cannot be reached; credentials that the platform refuses are never
    stored. Raises CredentialsRefused, PlatformUnreachable.
    """
    known = _known(platform)
    label = _label(label)
    credentials = _stripped(credentials)
    _refuse_bad_shape(known, credentials)
    _refuse_double(known, credentials)
    stores = _stores(all_stores, store_ids)
    check = _check(known, credentials, unchecked=unchecked)
    account = PlatformAccount(
        platform=known.value,
        label=label,
        ref=doors.new_token(REF_LENGTH),
        app_id=credentials.app_id,
        merchant_no=credentials.merchant_no,
        fee_rate_ppm=fee_rate_ppm,
        all_stores=all_stores,
    )
    account.credentials_sealed = _sealed(credentials.keys, account.merchant_id)
    verdicts.note(account, check, now)
    try:
        with transaction.atomic():
            account.save(force_insert=True)
            doors.make_door(
                kind=DOOR,
                token=account.ref,
                merchant_id=account.merchant_id,
                subject_id=account.pk,
            )
            _serve(account, stores)
            _record(
                account,
                "account.connected",
                actor,
                now,
                platform=account.platform,
                merchant_no=account.merchant_no,
                app_id=account.app_id,
                fee_rate_ppm=fee_rate_ppm,
                all_stores=all_stores,
                store_ids=sorted(stores),
                check=check.state.value,
            )
    except IntegrityError as error:
        # Somebody connected the same account a moment ago.
        if "platforms_account_once" not in str(error):
            raise
        raise _double() from error
    return account


def update_account(
    *,
    account_id: int,
    label: str,
    keys: Mapping[str, str],
    fee_rate_ppm: int,
    all_stores: bool,
    store_ids: Collection[int],
    actor: Actor,
    now: datetime,
    unchecked: bool = False,
) -> PlatformAccount:
    """Change an account. ``keys`` with a value replace those stored; what is empty or missing stays.

    Merchant number and app id never change: history, bills and the platform's later words on payments that were opened
    under them hang on both. Another app is another account. Changed keys are tried first, as by ``connect_account``.
    Raises AccountNotFound, CredentialsRefused, PlatformUnreachable.
    """
    before = _get(account_id)
    known = _known(before.platform)
    label = _label(label)
    stores = _stores(all_stores, store_ids)
    held = credentials_of(before)
    given = {name: value.strip() for name, value in keys.items() if value.strip()}
    credentials = replace(held, keys={**held.keys, **given})
    check: CredentialCheck | None = None
    if given:
        _refuse_bad_shape(known, credentials)
        check = _check(known, credentials, unchecked=unchecked)
    with transaction.atomic():
        account = _lock(account_id)
        if bytes(account.credentials_sealed) != bytes(before.credentials_sealed):
            # Otherwise the keys that somebody else has just stored would silently be undone.
            raise CredentialsRefused(
                "", _("Somebody changed this account meanwhile. Look at it again.")
            )
        account.label = label
        account.fee_rate_ppm = fee_rate_ppm
        account.all_stores = all_stores
        if check is not None:
            account.credentials_sealed = _sealed(credentials.keys, account.merchant_id)
            stands = verdicts.standing(account)
            if stands is None or held.keys.get(stands.field) != credentials.keys.get(stands.field):
                verdicts.note(account, check, now)
        account.save(force_update=True)
        AccountStore.objects.filter(account=account).exclude(store_id__in=stores).delete()
        _serve(account, stores)
        _record(
            account,
            "account.changed",
            actor,
            now,
            label=label,
            fee_rate_ppm=fee_rate_ppm,
            all_stores=all_stores,
            store_ids=sorted(stores),
            replaced=sorted(given),
            check=check.state.value if check else "",
        )
    return account


@transaction.atomic
def set_active(*, account_id: int, active: bool, actor: Actor, now: datetime) -> bool:
    """Pause or resume an account: a paused one opens no new payments but hears of its old ones. True if it changed.

    Raises AccountNotFound.
    """
    account = _lock(account_id)
    if account.is_active is active:
        return False
    account.is_active = active
    account.save(update_fields=["is_active"])
    _record(account, "account.resumed" if active else "account.paused", actor, now)
    return True


def recheck_account(*, account_id: int, actor: Actor, now: datetime) -> CredentialCheck:
    """Try the stored credentials at the platform and keep the verdict. Raises AccountNotFound, CannotOpen.

    An unreachable platform says nothing about them, so an earlier verdict then stays. So does what notifications
    proved about a key that no call tries: unless the platform refuses the others, that is what is returned.
    """
    account = _get(account_id)
    check = gateway_of(account).check_credentials()
    told = check.state is not CheckState.UNREACHABLE
    with transaction.atomic():
        account = _lock(account_id)
        stands = verdicts.standing(account) if check.state is CheckState.GOOD else None
        if stands is None and (
            told or account.check_state not in {CheckState.GOOD.value, CheckState.BAD.value}
        ):
            verdicts.note(account, check, now)
            account.save(update_fields=["checked_at", "check_state", "check_message"])
        _record(account, "account.checked", actor, now, check=check.state.value, code=check.code)
    return stands or check


@transaction.atomic
def reseal_account(*, account_id: int) -> bool:
    """Seal the credentials again under the current key; False if they already are. For the rotation of keys.

    Raises AccountNotFound, CannotOpen.
    """
    account = _lock(account_id)
    sealed = bytes(account.credentials_sealed)
    if encryption.key_id_of(sealed) == encryption.current_key_id():
        return False
    plain = encryption.unseal(sealed, merchant_id=account.merchant_id, purpose=PURPOSE)
    account.credentials_sealed = encryption.seal(
        plain, merchant_id=account.merchant_id, purpose=PURPOSE
    )
    account.save(update_fields=["credentials_sealed"])
    return True


def credentials_of(account: PlatformAccount) -> Credentials:
    """The credentials, opened, for a connector. Raises CannotOpen."""
    plain = encryption.unseal(
        bytes(account.credentials_sealed), merchant_id=account.merchant_id, purpose=PURPOSE
    )
    return Credentials(
        app_id=account.app_id, merchant_no=account.merchant_no, keys=json.loads(plain)
    )


def fingerprints_of(account: PlatformAccount) -> dict[str, str]:
    """For each stored key eight characters by which to tell whether it changed; they reveal nothing of it.

    Raises CannotOpen.
    """
    return {
        name: encryption.keyed_hash(
            f"{name}:{value}", merchant_id=account.merchant_id, purpose="credential-fingerprint"
        )[:8]
        for name, value in credentials_of(account).keys.items()
        if value
    }


def gateway_of(account: PlatformAccount) -> PlatformGateway:
    """The connector for this account. Raises CannotOpen."""
    return registry.gateway_for(
        platform=Platform(account.platform), credentials=credentials_of(account)
    )


def notify_url(account: PlatformAccount) -> str:
    """Where the platform delivers this account's notifications."""
    return f"{settings.PUBLIC_URL}/notify/{account.platform}/{account.ref}"


def _get(account_id: int) -> PlatformAccount:
    account: PlatformAccount | None = PlatformAccount.objects.filter(pk=account_id).first()
    if account is None:
        raise AccountNotFound(account_id)
    return account


def _lock(account_id: int) -> PlatformAccount:
    account: PlatformAccount | None = (
        PlatformAccount.objects.select_for_update().filter(pk=account_id).first()
    )
    if account is None:
        raise AccountNotFound(account_id)
    return account


def _known(platform: str) -> Platform:
    if platform not in registry.connected_platforms():
        raise CredentialsRefused("", _("This platform cannot be connected yet."))
    return Platform(platform)


def _label(label: str) -> str:
    label = " ".join(label.split())
    if not label:
        raise CredentialsRefused("label", _("Give the account a name."))
    if len(label) > 60:
        raise CredentialsRefused("label", _("The name may have 60 characters at most."))
    return label


def _stripped(credentials: Credentials) -> Credentials:
    return Credentials(
        app_id=credentials.app_id.strip(),
        merchant_no=credentials.merchant_no.strip(),
        keys={name: value.strip() for name, value in credentials.keys.items() if value.strip()},
    )


def _refuse_bad_shape(platform: Platform, credentials: Credentials) -> None:
    errors = registry.validate_credentials_shape(platform, credentials)
    if errors:
        field, message = next(iter(errors.items()))
        raise CredentialsRefused(field, message, errors=errors)


def _refuse_double(platform: Platform, credentials: Credentials) -> None:
    same = PlatformAccount.objects.filter(
        platform=platform.value,
        merchant_no=credentials.merchant_no,
        app_id=credentials.app_id,
    )
    if same.exists():
        raise _double()


def _double() -> CredentialsRefused:
    return CredentialsRefused(
        "merchant_no", _("An account with this merchant number and app ID is already connected.")
    )


def _stores(all_stores: bool, store_ids: Collection[int]) -> frozenset[int]:
    if all_stores:
        return frozenset()
    asked = frozenset(store_ids)
    if not asked:
        raise CredentialsRefused("store_ids", _("Choose at least one store, or all stores."))
    if Store.objects.filter(pk__in=asked).count() != len(asked):
        raise CredentialsRefused("store_ids", _("One of these stores does not exist."))
    return asked


def _check(platform: Platform, credentials: Credentials, *, unchecked: bool) -> CredentialCheck:
    gateway = registry.gateway_for(platform=platform, credentials=credentials)
    check = gateway.check_credentials()
    if check.state is CheckState.BAD:
        raise CredentialsRefused(check.field, wording.check_words(platform, check))
    if check.state is CheckState.UNREACHABLE and not unchecked:
        raise PlatformUnreachable("", wording.check_words(platform, check))
    return check


def _serve(account: PlatformAccount, store_ids: Collection[int]) -> None:
    AccountStore.objects.bulk_create(
        [AccountStore(account=account, store_id=pk) for pk in sorted(store_ids)],
        ignore_conflicts=True,
    )


def _sealed(keys: Mapping[str, str], merchant_id: int) -> bytes:
    plain = json.dumps(dict(keys), ensure_ascii=False, sort_keys=True).encode()
    return encryption.seal(plain, merchant_id=merchant_id, purpose=PURPOSE)


def _record(
    account: PlatformAccount, action: str, actor: Actor, now: datetime, **data: object
) -> None:
    audit.record(
        action=action,
        subject_kind="account",
        subject_id=account.pk,
        actor=actor,
        at=now,
        data=data,
    )
