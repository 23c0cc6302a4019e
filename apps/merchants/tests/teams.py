"""Merchants with members, for tests of every room above."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from itertools import count

from allauth.account.models import EmailAddress

from apps.accounts.models import User
from apps.core.audit import Actor
from apps.core.tenancy import Scope, enter_scope
from apps.merchants.models import Membership, Merchant, Role, Store
from apps.merchants.services import add_member, add_store, create_merchant

NOW = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)
ACTOR = Actor.system("test")

_numbers = count(1)


def make_user(email: str = "", *, name: str = "", verified: bool = True) -> User:
    """A user with the password ``secret-pass-1`` and a verified address."""
    user = User.objects.create_user(
        email or f"user{next(_numbers)}@example.com", "secret-pass-1", name=name
    )
    EmailAddress.objects.create(user=user, email=user.email, verified=verified, primary=True)
    return user


def make_merchant(
    *, owner: User | None = None, name: str = "晨光咖啡", slug: str = ""
) -> tuple[Merchant, User, Store]:
    """A merchant, its owner and its first store."""
    owner = owner or make_user()
    merchant = create_merchant(
        owner=owner,
        name=name,
        name_en="Morning Coffee",
        store_name="中山路店",
        store_name_en="Zhongshan Road",
        slug=slug or f"shop-{next(_numbers)}",
        actor=ACTOR,
        now=NOW,
    )
    with enter_scope(Scope(merchant.pk)):
        return merchant, owner, Store.objects.get()


def make_store(merchant: Merchant, name: str = "") -> Store:
    """One more store."""
    with enter_scope(Scope(merchant.pk)):
        return add_store(name=name or f"分店{next(_numbers)}", actor=ACTOR, now=NOW)


def make_member(
    merchant: Merchant,
    role: str = Role.CASHIER,
    *,
    stores: Collection[Store] | None = None,
    user: User | None = None,
) -> Membership:
    """A member with a role; ``stores`` limits the reach."""
    with enter_scope(Scope(merchant.pk)):
        return add_member(
            user=user or make_user(),
            role=role,
            store_ids=None if stores is None else [store.pk for store in stores],
            actor=ACTOR,
            now=NOW,
        )
