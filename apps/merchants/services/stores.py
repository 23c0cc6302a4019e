"""The places where a merchant sells."""

from __future__ import annotations

from datetime import datetime

import psycopg
from django.db import IntegrityError, transaction

from apps.core import audit
from apps.core.audit import Actor
from apps.core.tenancy import current_merchant_id
from apps.merchants.models import Merchant, Store


class StoreNameTaken(Exception):
    """The merchant has another store of this name."""


class LastStore(Exception):
    """The merchant's last open store cannot be closed."""


def _is_name_conflict(error: IntegrityError) -> bool:
    cause = error.__cause__
    return isinstance(cause, psycopg.Error) and cause.diag.constraint_name == "merchants_store_name"


@transaction.atomic
def add_store(
    *, name: str, actor: Actor, now: datetime, name_en: str = "", address: str = ""
) -> Store:
    """Open a store. Raises StoreNameTaken."""
    store = Store(name=name, name_en=name_en, address=address, created_at=now)
    try:
        with transaction.atomic():
            store.save(force_insert=True)
    except IntegrityError as error:
        if _is_name_conflict(error):
            raise StoreNameTaken(name) from error
        raise
    audit.record(
        action="store.added",
        subject_kind="store",
        subject_id=store.pk,
        store_id=store.pk,
        actor=actor,
        at=now,
        data={"name": name},
    )
    return store


@transaction.atomic
def update_store(
    *, store_id: int, name: str, name_en: str, address: str, actor: Actor, now: datetime
) -> Store:
    """Change a store's names and address; printed codes keep what was printed. Raises Store.DoesNotExist, StoreNameTaken."""
    store: Store = Store.objects.visible("pk").select_for_update(no_key=True).get(pk=store_id)
    wanted = {"name": name, "name_en": name_en, "address": address}
    changes = {
        field: [getattr(store, field), value]
        for field, value in wanted.items()
        if getattr(store, field) != value
    }
    if not changes:
        return store
    for field, value in wanted.items():
        setattr(store, field, value)
    try:
        with transaction.atomic():
            store.save(update_fields=list(wanted))
    except IntegrityError as error:
        if _is_name_conflict(error):
            raise StoreNameTaken(name) from error
        raise
    audit.record(
        action="store.changed",
        subject_kind="store",
        subject_id=store.pk,
        store_id=store.pk,
        actor=actor,
        at=now,
        data=changes,
    )
    return store


@transaction.atomic
def set_store_active(*, store_id: int, active: bool, actor: Actor, now: datetime) -> Store:
    """Close a store, whose codes then take no payments, or open it again. Does nothing when it already is so.

    Raises Store.DoesNotExist, LastStore.
    """
    # The merchant's row is the lock, so that two closings at once cannot leave no store open.
    Merchant.objects.select_for_update(no_key=True).get(pk=current_merchant_id())
    store: Store = Store.objects.visible("pk").get(pk=store_id)
    if store.is_active == active:
        return store
    if not active and not Store.objects.filter(is_active=True).exclude(pk=store_id).exists():
        raise LastStore(store.name)
    store.is_active = active
    store.save(update_fields=["is_active"])
    audit.record(
        action="store.opened" if active else "store.closed",
        subject_kind="store",
        subject_id=store.pk,
        store_id=store.pk,
        actor=actor,
        at=now,
        data={"name": store.name},
    )
    return store
