"""A small cast for tests: Alice owns, Fiona keeps the books, Carl stands at the till, Sam is a stranger."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from allauth.account.models import EmailAddress
from django.db import connection

from apps.accounts.models import User
from apps.core.tenancy import Scope, enter_scope
from apps.merchants.models import Membership, Merchant, Role, Store

#: Tuesday noon in China; services are told this time.
NOW = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)


def make_user(email: str) -> User:
    """A user with the password ``secret`` and a verified e-mail address."""
    user = User.objects.create_user(email, "secret")
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    return user


@dataclass(frozen=True)
class Shop:
    """A merchant with one store and one member of each role."""

    merchant: Merchant
    store: Store
    members: dict[str, User]

    @property
    def scope(self) -> Scope:
        return Scope(self.merchant.pk)

    @property
    def slug(self) -> str:
        return self.merchant.slug

    def __getitem__(self, role: str) -> User:
        return self.members[role]


def make_shop(slug: str = "tea") -> Shop:
    """A shop named after its slug, with members ``<role>@<slug>.test``."""
    merchant = Merchant.objects.create(slug=slug, name=f"{slug}茶馆", name_en=f"{slug} house")
    members = {}
    for role in Role.values:
        members[role] = make_user(f"{role}@{slug}.test")
        Membership.objects.create(merchant=merchant, user=members[role], role=role)
    with enter_scope(Scope(merchant.pk)):
        store = Store.objects.create(name="一号店", name_en="First store")
    return Shop(merchant, store, members)


@contextmanager
def inside(shop: Shop) -> Iterator[Shop]:
    """Act in the shop's scope; what waits for COMMIT is checked before the scope ends, as a real COMMIT would be."""
    with enter_scope(shop.scope):
        yield shop
        if not connection.needs_rollback:
            check_now()


def check_now() -> None:
    """Run deferred constraints and triggers now."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
