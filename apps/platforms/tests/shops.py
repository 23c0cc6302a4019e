"""A shop for tests of this room: one merchant, one store, one member of each role."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.db import connection

from apps.accounts.models import User
from apps.core.tenancy import Scope, enter_scope
from apps.merchants.models import Membership, Merchant, Role, Store


@dataclass(frozen=True)
class Shop:
    """A merchant with one store; ``members`` by role."""

    merchant: Merchant
    store: Store
    members: dict[str, User]

    @property
    def scope(self) -> Scope:
        return Scope(self.merchant.pk)

    @property
    def slug(self) -> str:
        return self.merchant.slug


def make_shop(slug: str = "tea") -> Shop:
    """A shop named after its slug, with members ``<role>@<slug>.test``."""
    merchant = Merchant.objects.create(slug=slug, name=f"{slug}茶馆", name_en=f"{slug} house")
    members = {}
    for role in Role.values:
        members[role] = User.objects.create_user(f"{role}@{slug}.test", "secret-pass-1")
        Membership.objects.create(merchant=merchant, user=members[role], role=role)
    with enter_scope(Scope(merchant.pk)):
        store = Store.objects.create(name="一号店", name_en="First store")
    return Shop(merchant, store, members)


@contextmanager
def inside(shop: Shop) -> Iterator[Shop]:
    """Act in the shop's scope; deferred constraints are checked before it ends, as a COMMIT would."""
    with enter_scope(shop.scope):
        yield shop
        if not connection.needs_rollback:
            with connection.cursor() as cursor:
                cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
                cursor.execute("SET CONSTRAINTS ALL DEFERRED")
