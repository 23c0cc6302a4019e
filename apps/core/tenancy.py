"""The wall between merchants: the scope, the manager that insists on one, and the database setting behind it.

A scope says whose rows may be touched: one merchant, and of it all stores or a few, and of what members take either
everybody's or one member's. It is entered from a membership, a
``Door`` or a ``Due``, never from what a client sends. While it is active, PostgreSQL's row-level security sees the
merchant's id in ``app.merchant_id``; without one it shows no rows at all.

The scope encloses the transaction, never the reverse: were it cleared before COMMIT, deferred triggers would see
nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar, cast

from django.db import DEFAULT_DB_ALIAS, connections, models
from psycopg.pq import TransactionStatus

from apps.core import sql

if TYPE_CHECKING:
    from apps.core.postgres.engine.base import DatabaseWrapper

M = TypeVar("M", bound=models.Model)

SETTING = "app.merchant_id"


class NoScope(RuntimeError):
    """A protected table was touched while no merchant's scope was active."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose rows: one merchant; ``store_ids`` None means all stores.

    ``member_id``: the user who sees, of rows that a member made, only their own (``MerchantScoped.of_member``); None: everybody's.
    """

    merchant_id: int
    store_ids: frozenset[int] | None = None
    member_id: int | None = None

    @property
    def all_stores(self) -> bool:
        """True where nothing of the merchant is closed to this scope."""
        return self.store_ids is None


_current: ContextVar[Scope | None] = ContextVar("merchant_scope", default=None)


def stand_outside() -> None:
    """Stand in no scope, whatever context this was begun in; for the beginning of a request's own task.

    A scope that leaks into a request is worse than none: ``enter_scope`` would take it for its own and not tell the database.
    """
    _current.set(None)


def current_scope() -> Scope:
    """The active scope. Raises NoScope."""
    scope = _current.get()
    if scope is None:
        raise NoScope("no merchant scope is active")
    return scope


def current_merchant_id() -> int:
    """The id of the merchant in scope; the default of every ``merchant_id`` column. Raises NoScope."""
    return current_scope().merchant_id


def _tell_database(merchant_id: int | None) -> None:
    connection = cast("DatabaseWrapper", connections[DEFAULT_DB_ALIAS])
    # A rollback restores the earlier value by itself, and an aborted transaction would refuse the statement and
    # hide the true error.
    if connection.needs_rollback or (
        connection.connection is not None
        and connection.connection.info.transaction_status == TransactionStatus.INERROR
    ):
        return
    if merchant_id is not None:
        connection.in_scope = True
    sql.run(
        "SELECT set_config(%s, %s, false)",
        [SETTING, "" if merchant_id is None else str(merchant_id)],
    )
    if merchant_id is None and not connection.in_atomic_block:
        connection.in_scope = False


@contextmanager
def enter_scope(scope: Scope) -> Iterator[Scope]:
    """Act for one merchant inside the block. Scopes nest only for the same merchant."""
    outer = _current.get()
    if outer is not None and outer.merchant_id != scope.merchant_id:
        raise RuntimeError("a scope cannot be entered inside another merchant's scope")
    token = _current.set(scope)
    try:
        if outer is None:
            _tell_database(scope.merchant_id)
        yield scope
    finally:
        _current.reset(token)
        if outer is None:
            _tell_database(None)


class ScopedQuerySet(models.QuerySet[M]):
    """A queryset that knows the scope's stores and member; ``visible()`` narrows to them."""

    def visible(self, store_field: str = "store_id") -> ScopedQuerySet[M]:
        """Only rows of the stores in scope, and none that another member made where the scope is one member's own.

        Rows without a store are closed to store-limited members.
        """
        scope = current_scope()
        rows = self
        if scope.store_ids is not None:
            rows = rows.filter(**{f"{store_field}__in": scope.store_ids})
        if scope.member_id is not None:
            rows = rows.filter(cast("type[MerchantScoped]", self.model).of_member(scope.member_id))
        return rows


class ScopedManager(models.Manager[M]):
    """The manager of every protected model: raises NoScope without a scope, else filters by its merchant."""

    def get_queryset(self) -> ScopedQuerySet[M]:
        return cast(
            "ScopedQuerySet[M]",
            ScopedQuerySet(self.model, using=self._db).filter(merchant_id=current_merchant_id()),
        )

    def visible(self, store_field: str = "store_id") -> ScopedQuerySet[M]:
        """Shorthand for ``get_queryset().visible(…)``."""
        return self.get_queryset().visible(store_field)


class MerchantScoped(models.Model):
    """Base of every row that belongs to one merchant.

    ``merchant_id`` is filled from the scope. The foreign key to the merchant, the composite foreign keys and the
    policy are laid by the migration operations in ``apps.core.walls``.
    """

    merchant_id = models.BigIntegerField(default=current_merchant_id, editable=False)

    objects: ClassVar[ScopedManager[Self]] = ScopedManager()

    class Meta:
        abstract = True
        # Related look-ups and ``refresh_from_db`` use the base manager: it must insist on a scope as well.
        base_manager_name = "objects"

    @classmethod
    def of_member(cls, member_id: int) -> models.Q:
        """The rows that a member may see who sees no other member's: all, where rows are nobody's own."""
        return models.Q()


class ScopedForeignKey(models.ForeignKey[Any, Any]):
    """A foreign key between protected rows: Django's own constraint is off, the composite one stands in its place."""

    def __init__(self, to: Any, on_delete: Any = models.PROTECT, **kwargs: Any) -> None:
        kwargs.setdefault("related_name", "+")
        kwargs["db_constraint"] = False
        super().__init__(to, on_delete, **kwargs)
