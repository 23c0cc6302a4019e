"""Connecting, changing and checking a merchant's accounts at the platforms.

Credentials are tried at the platform before anything is stored, outside every transaction, and sealed when stored.
Nothing here returns, logs or audits a secret.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from apps.accounts.models import User
from apps.core import audit, doors, encryption
from apps.core.audit import Actor
from apps.merchants.models import Store
from apps.platforms import registry
from apps.platforms.gateway import (
    CheckState,
    CredentialCheck,
    Credentials,
    Platform,
)
from apps.platforms.models import AccountStore, PlatformAccount
from apps.platforms.services import changing, renewal, terminals, trying, verdicts
from apps.platforms.services.credentials import PURPOSE, credentials_of, sealed
from apps.platforms.services.gateways import gateway_of
from apps.platforms.services.trying import CredentialsRefused

DOOR = "account"
#: Columns for what a platform switches on by contract.
PRODUCTS = frozenset({"takes_barcodes", "takes_h5", "cancels_same_day"})
#: Characters of an account's public reference; about 115 bits.
REF_LENGTH = 20


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
    **products: bool,
) -> PlatformAccount:
    """Connect an account after a live call with its credentials. ``fee_rate_ppm``: 6000 is 0.6 %.

    ``products``: which of ``PRODUCTS`` the platform has switched on; left out, a product is as in the model.

    ``unchecked`` stores it even if the platform cannot be reached; credentials that the platform refuses are never
    stored. Where the platform has terminals, the activation code among the keys becomes the portal's own terminal, which
    proves the others; without an answer nothing is stored. Raises CredentialsRefused, PlatformUnreachable.
    """
    known = trying.known_platform(platform)
    label = _label(label)
    credentials = trying.stripped(credentials)
    trying.refuse_bad_shape(known, credentials)
    _refuse_double(known, credentials)
    stores = _stores(all_stores, store_ids)
    credentials, code = trying.without_code(credentials)
    activated = trying.activate(known, credentials, code) if code else None
    if activated is not None:
        check = CredentialCheck(state=CheckState.GOOD)
    else:
        check = trying.check(known, credentials, unchecked=unchecked)
    account = PlatformAccount(
        platform=known.value,
        label=label,
        ref=doors.new_token(REF_LENGTH),
        app_id=credentials.app_id,
        merchant_no=credentials.merchant_no,
        fee_rate_ppm=fee_rate_ppm,
        all_stores=all_stores,
        **_products(products),
    )
    account.credentials_sealed = sealed(credentials.keys, account.merchant_id)
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
                **_products(products),
                check=check.state.value,
            )
            if activated is not None:
                terminals.keep(account, activated, terminal_id=None, actor=actor, now=now)
            renewal.begin(account, credentials, now=now)
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
    member: User | None = None,
    **products: bool,
) -> PlatformAccount:
    """Change an account. ``keys`` with a value replace those stored; what is empty or missing stays, unless it is of
    another way of signing (``registry.displaced_fields``).

    Merchant number and app id never change: history, bills and the platform's later words on payments that were opened
    under them hang on both. Another app is another account. Changed keys are tried first, as by ``connect_account``.
    ``products`` as there; one left out stays as it is. An activation code is taken where the portal's own terminal is
    missing or lost (``terminals.needs_activation``), and only there.

    Keys that ``member`` enters wait for another one where ``changing.needs_second`` says so (a ``CredentialChange``); the
    rest is changed at once. An activation code then comes alone.
    Raises AccountNotFound, CredentialsRefused, PlatformUnreachable.
    """
    before = _get(account_id)
    known = trying.known_platform(before.platform)
    label = _label(label)
    stores = _stores(all_stores, store_ids)
    held = credentials_of(before)
    given = {name: value.strip() for name, value in keys.items() if value.strip()}
    displaced = registry.displaced_fields(known, given.keys())
    stays = {name: value for name, value in held.keys.items() if name not in displaced}
    credentials = replace(held, keys={**stays, **given})
    check: CredentialCheck | None = None
    activated: terminals.Activated | None = None
    if given:
        trying.refuse_bad_shape(known, credentials, connecting=False)
        credentials, code = trying.without_code(credentials)
        if code:
            if changing.differing(held.keys, credentials.keys) and changing.needs_second(
                member, now=now
            ):
                raise CredentialsRefused(
                    registry.ACTIVATION_CODE,
                    _(
                        "New keys wait for another member. Enter the code alone first, then the keys."
                    ),
                )
            if not terminals.needs_activation(before):
                raise CredentialsRefused(
                    registry.ACTIVATION_CODE, _("The terminal works; it needs no new code.")
                )
            activated = trying.activate(known, credentials, code)
            try:
                terminals.refuse_other(before, activated, terminal_id=None, now=now)
            except terminals.ActivationRefused as refusal:
                raise CredentialsRefused(refusal.field, refusal.message) from refusal
            check = CredentialCheck(state=CheckState.GOOD)
        else:
            check = trying.check(known, credentials, unchecked=unchecked, account=before)
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
        for name, on in _products(products).items():
            setattr(account, name, on)
        waits = check is not None and activated is None and member is not None
        fresh = changing.differing(held.keys, given) if waits else {}
        waits = bool(fresh) and changing.needs_second(member, now=now)
        if waits and check is not None and member is not None:
            changing.hold_back(account, fresh, check, member=member, actor=actor, now=now)
        elif check is not None:
            account.credentials_sealed = sealed(credentials.keys, account.merchant_id)
            stands = verdicts.standing(account)
            if stands is None or held.keys.get(stands.field) != credentials.keys.get(stands.field):
                verdicts.note(account, check, now)
        account.save(force_update=True)
        if activated is not None:
            terminals.keep(account, activated, terminal_id=None, actor=actor, now=now)
        if check is not None and not waits:
            renewal.begin(account, credentials, now=now)
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
            **_products(products),
            replaced=[] if waits else sorted(given),
            check=check.state.value if check else "",
        )
    return account


def _products(products: Mapping[str, bool]) -> dict[str, bool]:
    unknown = products.keys() - PRODUCTS
    if unknown:
        raise TypeError(f"no such product: {sorted(unknown)}")
    return dict(products)


@transaction.atomic
def move_account(*, account_id: int, up: bool, actor: Actor, now: datetime) -> bool:
    """Ask an account before (``up``) or after its neighbour in the order of preference. True if the order changed.

    Raises AccountNotFound.
    """
    # All rows, always in the same order: two who move at once do not wait for each other.
    rows = {row.pk: row for row in PlatformAccount.objects.select_for_update().order_by("pk")}
    if account_id not in rows:
        raise AccountNotFound(account_id)
    order = sorted(rows.values(), key=lambda row: (row.priority, row.pk))
    place = next(place for place, row in enumerate(order) if row.pk == account_id)
    other = place - 1 if up else place + 1
    if not 0 <= other < len(order):
        return False
    order[place], order[other] = order[other], order[place]
    for number, row in enumerate(order, start=1):
        if row.priority != number:
            row.priority = number
            row.save(update_fields=["priority"])
    _record(
        rows[account_id],
        "account.moved",
        actor,
        now,
        up=up,
        place=other + 1,
        order=[row.pk for row in order],
    )
    return True


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
        renewal.begin(account, credentials_of(account), now=now)
        _record(account, "account.checked", actor, now, check=check.state.value, code=check.code)
    return stands or check


@transaction.atomic
def reseal_account(*, account_id: int) -> bool:
    """Seal the credentials and the terminals' keys again under the current key; False if they already are.

    For the rotation of keys. Raises AccountNotFound, CannotOpen.
    """
    account = _lock(account_id)
    resealed = changing.reseal_changes(account) | terminals.reseal(account)
    held = bytes(account.credentials_sealed)
    if encryption.key_id_of(held) == encryption.current_key_id():
        return resealed
    plain = encryption.unseal(held, merchant_id=account.merchant_id, purpose=PURPOSE)
    account.credentials_sealed = encryption.seal(
        plain, merchant_id=account.merchant_id, purpose=PURPOSE
    )
    account.save(update_fields=["credentials_sealed"])
    return True


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


def _label(label: str) -> str:
    label = " ".join(label.split())
    if not label:
        raise CredentialsRefused("label", _("Give the account a name."))
    if len(label) > 60:
        raise CredentialsRefused("label", _("The name may have 60 characters at most."))
    return label


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


def _serve(account: PlatformAccount, store_ids: Collection[int]) -> None:
    AccountStore.objects.bulk_create(
        [AccountStore(account=account, store_id=pk) for pk in sorted(store_ids)],
        ignore_conflicts=True,
    )


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
