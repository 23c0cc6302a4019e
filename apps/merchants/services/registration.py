"""How a merchant begins, and its settings."""

from __future__ import annotations

from datetime import datetime, time

from django.db import connection, transaction
from django.utils.text import slugify

from apps.accounts.models import User
from apps.core import audit
from apps.core.audit import Actor
from apps.core.doors import new_token
from apps.core.tenancy import Scope, current_merchant_id, enter_scope
from apps.merchants.models import Membership, Merchant, Role, Store
from apps.merchants.selectors import first_merchant_of


def _next_merchant_id() -> int:
    # The scope must enclose the transaction and needs the id, so the id is drawn before the row is written.
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval(pg_get_serial_sequence('merchants_merchant', 'id'))")
        return int(cursor.fetchone()[0])


def _free_slug(*names: str) -> str:
    """The first name that has Latin letters or digits, as a slug nobody uses; else ``m-`` and random letters."""
    for name in names:
        base = slugify(name).replace("_", "-").strip("-")[:32].rstrip("-")
        if base and not Merchant.objects.filter(slug=base).exists():
            return base
        if base:
            return f"{base}-{new_token(5).lower()}"
    return f"m-{new_token(8).lower()}"


def _write_merchant(
    *,
    merchant_id: int,
    owner: User,
    name: str,
    name_en: str,
    store_name: str,
    store_name_en: str,
    day_starts_at: time,
    slug: str,
    actor: Actor,
    now: datetime,
) -> Merchant:
    merchant = Merchant.objects.create(
        pk=merchant_id,
        slug=slug or _free_slug(name_en, name),
        name=name,
        name_en=name_en,
        day_starts_at=day_starts_at,
        created_at=now,
    )
    membership = Membership.objects.create(
        merchant=merchant, user=owner, role=Role.OWNER, created_at=now
    )
    store = Store.objects.create(name=store_name, name_en=store_name_en, created_at=now)
    audit.record(
        action="merchant.created",
        subject_kind="merchant",
        subject_id=merchant.pk,
        actor=actor,
        at=now,
        data={"name": name, "day_starts_at": f"{day_starts_at:%H:%M}"},
    )
    audit.record(
        action="member.joined",
        subject_kind="member",
        subject_id=membership.pk,
        actor=actor,
        at=now,
        data={"email": owner.email, "role": Role.OWNER.value},
    )
    audit.record(
        action="store.added",
        subject_kind="store",
        subject_id=store.pk,
        store_id=store.pk,
        actor=actor,
        at=now,
        data={"name": store_name},
    )
    return merchant


def create_merchant(
    *,
    owner: User,
    name: str,
    store_name: str,
    actor: Actor,
    now: datetime,
    name_en: str = "",
    store_name_en: str = "",
    day_starts_at: time = time(0),
    slug: str = "",
) -> Merchant:
    """A merchant with its owner and first store, in one transaction. To be called outside every scope.

    ``day_starts_at`` is China time. Without ``slug`` one is made from the names.
    """
    merchant_id = _next_merchant_id()
    with enter_scope(Scope(merchant_id)), transaction.atomic():
        return _write_merchant(
            merchant_id=merchant_id,
            owner=owner,
            name=name,
            name_en=name_en,
            store_name=store_name,
            store_name_en=store_name_en,
            day_starts_at=day_starts_at,
            slug=slug,
            actor=actor,
            now=now,
        )


def start_first_merchant(
    *,
    owner: User,
    name: str,
    store_name: str,
    actor: Actor,
    now: datetime,
    name_en: str = "",
    store_name_en: str = "",
    day_starts_at: time = time(0),
) -> Merchant:
    """What a newcomer's form asks for. Sent twice, even at once, it makes one merchant and answers with it."""
    merchant_id = _next_merchant_id()
    with enter_scope(Scope(merchant_id)), transaction.atomic():
        User.objects.select_for_update().get(pk=owner.pk)
        existing = first_merchant_of(owner)
        if existing is not None:
            return existing
        return _write_merchant(
            merchant_id=merchant_id,
            owner=owner,
            name=name,
            name_en=name_en,
            store_name=store_name,
            store_name_en=store_name_en,
            day_starts_at=day_starts_at,
            slug="",
            actor=actor,
            now=now,
        )


@transaction.atomic
def update_merchant(
    *, name: str, name_en: str, day_starts_at: time, actor: Actor, now: datetime
) -> Merchant:
    """Change the names and the start of the business day of the merchant in scope. Booked days stay as they are."""
    merchant = Merchant.objects.select_for_update(no_key=True).get(pk=current_merchant_id())
    wanted = {"name": name, "name_en": name_en, "day_starts_at": day_starts_at}
    changes = {
        field: [str(getattr(merchant, field)), str(value)]
        for field, value in wanted.items()
        if getattr(merchant, field) != value
    }
    if not changes:
        return merchant
    Merchant.objects.filter(pk=merchant.pk).update(
        name=name, name_en=name_en, day_starts_at=day_starts_at
    )
    audit.record(
        action="merchant.changed",
        subject_kind="merchant",
        subject_id=merchant.pk,
        actor=actor,
        at=now,
        data=changes,
    )
    merchant.name, merchant.name_en, merchant.day_starts_at = name, name_en, day_starts_at
    return merchant
